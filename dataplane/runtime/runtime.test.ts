import { describe, expect, test } from 'vitest';
import type { Exchange } from '../pipeline/exchange.ts';
import { Headers } from '../pipeline/headers.ts';
import { MemoryDownstream, memoryExchange } from '../pipeline/memory-downstream.ts';
import { canonicalBytes, hashBody } from '../snapshot/canonical.ts';
import { encodeResource, type ResourceBytes } from '../snapshot/decode.ts';
import {
  backendFixture,
  endpointsFixture,
  forwardFixture,
  matchFixture,
  policyFixture,
  respondFixture,
  ruleFixture,
} from '../snapshot/fixtures.ts';
import type { BackendResource, EndpointsResource, PolicySection, Resource } from '../snapshot/resources.ts';
import { revisionOf } from '../snapshot/revision.ts';
import type { ForwardOptions, Responder } from '../upstream/seam.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { RUNTIME_DEFAULTS } from './deps.ts';
import { type Applied, Runtime } from './runtime.ts';

const unusable = ({ endpoints }: EndpointsResource) => endpoints.some(({ address }) => address === 'unusable');

/** Stands where upstream/ stands: remembers what a runtime does with it, and holds exchanges until told to answer. */
class HeldUpstream {
  readonly id: string;
  readonly updates: string[] = [];
  readonly stats = { endpoints: 1, connections: 0, active: 0, pending: 0 };
  backend: BackendResource;
  endpoints: EndpointsResource;
  closed = 0;

  constructor(backend: BackendResource, endpoints: EndpointsResource) {
    this.id = backend.id;
    this.backend = backend;
    this.endpoints = endpoints;
  }
  update(backend: BackendResource, endpoints: EndpointsResource): void {
    if (unusable(endpoints)) throw new Error('no such thing');
    this.backend = backend;
    this.endpoints = endpoints;
    this.updates.push(endpoints.endpoints.map(({ address }) => address).join());
  }
  close(): void {
    this.closed++;
  }
}

interface Forwarded {
  readonly exchange: Exchange;
  readonly upstream: HeldUpstream;
  readonly options: ForwardOptions;
  answer(): void;
}

class Gateway {
  readonly upstreams: HeldUpstream[] = [];
  readonly forwarded: Forwarded[] = [];
  readonly errors: string[] = [];
  random = 0;
  readonly runtime: Runtime;

  constructor() {
    this.runtime = new Runtime({
      createUpstream: (backend, endpoints) => {
        if (unusable(endpoints)) throw new Error('no such thing');
        const upstream = new HeldUpstream(backend, endpoints);
        this.upstreams.push(upstream);
        return upstream as unknown as Upstream;
      },
      forward: (exchange: Exchange, upstream: Upstream, options: ForwardOptions, responder: Responder) => {
        this.forwarded.push({
          exchange,
          upstream: upstream as unknown as HeldUpstream,
          options,
          answer: () => {
            exchange.status = 200;
            exchange.responseHeaders = new Headers(['x-backend', upstream.id]);
            responder.respond(exchange, {
              proceed: () => {
                exchange.downstream.writeHead(exchange.status, exchange.responseHeaders as Headers, 0);
                exchange.downstream.end(null);
                responder.finish(exchange);
              },
              discard: () => {},
            });
          },
        });
      },
      onFinish: () => {},
      logError: (message, _exchange, error) => this.errors.push(`${message}: ${error}`),
      newRequestId: () => 'id',
      now: () => 0,
      random: () => this.random,
      setTimer: () => () => {},
      defaults: RUNTIME_DEFAULTS,
    });
  }

  apply(upsert: (Resource | ResourceBytes)[], removed: string[] = []): Applied {
    const bytes = upsert.map((one) => ('body' in one ? one : encodeResource(one)));
    return this.runtime.apply({ upsert: bytes, removed });
  }

  send(line: string, fields: string[] = [], authority = 'gateway.example'): MemoryDownstream {
    const downstream = new MemoryDownstream();
    this.runtime.handler(memoryExchange(line, { fields, authority, downstream }));
    return downstream;
  }

  /** Status and body of an answer of the gateway's own. */
  ask(line: string, authority?: string): string {
    const { status, body } = this.send(line, [], authority);
    return `${status} ${body.startsWith('{') ? JSON.parse(body).code : body}`;
  }
}

const orders = [backendFixture('shop/orders'), endpointsFixture('shop/orders', '10.0.0.1:80')];
const ordersRule = ruleFixture('shop/orders/all', {
  matches: [matchFixture('/orders')],
  action: forwardFixture('shop/orders'),
});
const broken = (id: string, body: unknown): ResourceBytes => {
  const bytes = canonicalBytes(body);
  return { id, hash: hashBody(bytes), body: bytes };
};
const messages = (applied: Applied) => applied.rejected.map(({ id, message }) => `${id}: ${message}`);

test('before the first change: 503; after it, even an empty one: 404', () => {
  const gateway = new Gateway();
  expect(gateway.runtime.revision).toBe('');
  expect(gateway.ask('GET /')).toBe('503 not-configured');
  expect(gateway.apply([])).toMatchObject({ accepted: true, rejected: [], revision: revisionOf([]) });
  expect(gateway.ask('GET /')).toBe('404 no-route');
});

test('resources in one change may refer to each other in any order', () => {
  const gateway = new Gateway();
  const policy = policyFixture('shop/time', { section: 'timeout', requestMs: 3000, backendMs: 1000 });
  const rule = { ...ordersRule, policies: [policy.id], timeouts: { backendMs: 500 } };
  const applied = gateway.apply([rule, ...orders, policy]);
  expect(applied.rejected).toEqual([]);
  expect(applied.revision).toBe(revisionOf([rule, ...orders, policy].map((one) => [one.id, encodeResource(one).hash])));
  expect([...gateway.runtime.held()].map(({ id }) => id).sort()).toEqual(
    [rule, ...orders, policy].map(({ id }) => id).sort(),
  );
  const downstream = gateway.send('GET /orders/1');
  expect(gateway.forwarded[0]?.options).toEqual({
    rewrite: null,
    requestTimeoutMs: 3000,
    backendTimeoutMs: 500,
    idleTimeoutMs: 300_000,
    trustedHops: 0,
    via: '',
  });
  gateway.forwarded[0]?.answer();
  expect(downstream.status).toBe(200);
});

test('the same change again makes nothing and keeps the generation', () => {
  const gateway = new Gateway();
  gateway.apply([...orders, ordersRule]);
  const before = gateway.runtime.generation;
  const again = gateway.apply([...orders, ordersRule], ['rule/not/there/x']);
  expect(again.built).toEqual({ rules: 0, policies: 0, upstreams: 0, routerNodes: 0 });
  expect(gateway.runtime.generation).toBe(before);
});

describe('a change costs what changed', () => {
  const hosts = Array.from({ length: 100 }, (_, h) => `h${h}.example`);
  const rules = hosts.flatMap((host, h) =>
    Array.from({ length: 50 }, (_, r) =>
      ruleFixture(`ns${h}/route/r${r}`, {
        hosts: [host],
        matches: [matchFixture(`/r${r}`)],
        action: forwardFixture(`ns${h}/b`),
        policies: r === 0 ? ['policy/gw/edits/transform'] : [],
      }),
    ),
  );
  const policy = (value: string) =>
    policyFixture('gw/edits', {
      section: 'transform',
      response: { remove: [], set: [{ name: 'x-v', value }], add: [] },
    });
  const backends = hosts.flatMap((_, h) => [backendFixture(`ns${h}/b`), endpointsFixture(`ns${h}/b`, '10.0.0.1:80')]);
  const gateway = new Gateway();
  const first = gateway.apply([...rules, ...backends, policy('1')]);

  test('the first one makes everything', () => {
    expect(first.rejected).toEqual([]);
    expect(first.built).toMatchObject({ rules: 5_000, policies: 1, upstreams: 100 });
    expect(first.built.routerNodes).toBeGreaterThan(5_000);
  });

  test('what one rule of 5,000 does changes: one chain, no node of the router', () => {
    const { built } = gateway.apply([{ ...(rules[2_501] as (typeof rules)[0]), action: respondFixture('changed') }]);
    expect(built).toEqual({ rules: 1, policies: 0, upstreams: 0, routerNodes: 0 });
    expect(gateway.ask('GET /r1', 'h50.example')).toBe('200 changed');
  });

  test('where one rule of 5,000 stands changes: its own path in the router', () => {
    const moved = {
      ...(rules[2_501] as (typeof rules)[0]),
      matches: [matchFixture('/moved')],
      action: respondFixture('moved'),
    };
    const { built } = gateway.apply([moved]);
    expect(built).toMatchObject({ rules: 1, policies: 0, upstreams: 0 });
    expect(built.routerNodes).toBeGreaterThan(0);
    expect(built.routerNodes).toBeLessThanOrEqual(8);
    expect(gateway.ask('GET /moved', 'h50.example')).toBe('200 moved');
    expect(gateway.ask('GET /r1', 'h50.example')).toBe('404 no-route');
  });

  test('one endpoint: no chain, no node; pool and balancer are the same object, updated in place', () => {
    const upstream = gateway.upstreams.find(({ id }) => id === 'backend/ns7/b');
    const { built } = gateway.apply([endpointsFixture('ns7/b', '10.0.0.1:80', '10.0.0.2:80')]);
    expect(built).toEqual({ rules: 0, policies: 0, upstreams: 0, routerNodes: 0 });
    gateway.send('GET /r9', [], 'h7.example');
    expect(gateway.forwarded.at(-1)?.upstream).toBe(upstream);
    expect(upstream?.updates).toEqual(['10.0.0.1,10.0.0.2']);
    expect(gateway.upstreams.filter(({ updates }) => updates.length > 0)).toEqual([upstream]);
  });

  test('a backend that changes keeps its upstream too', () => {
    const made = gateway.upstreams.length;
    const { built } = gateway.apply([backendFixture('ns8/b', { connectTimeoutMs: 5 })]);
    expect(built).toMatchObject({ rules: 0, upstreams: 0 });
    expect(gateway.upstreams.length).toBe(made);
    expect(gateway.upstreams.find(({ id }) => id === 'backend/ns8/b')?.backend.connectTimeoutMs).toBe(5);
  });

  test('one policy: one stage, and the chains that refer to it', () => {
    const { built } = gateway.apply([policy('2')]);
    expect(built).toEqual({ rules: 100, policies: 1, upstreams: 0, routerNodes: 0 });
    const downstream = gateway.send('GET /r0', [], 'h3.example');
    gateway.forwarded.at(-1)?.answer();
    expect(downstream.headers?.get('x-v')).toBe('2');
  });
});

describe('a resource that can not be used', () => {
  test('keeps what it had, and its siblings change', () => {
    const gateway = new Gateway();
    gateway.apply([ruleFixture('a/x/1', { hosts: ['one'], action: respondFixture('old') })]);
    const applied = gateway.apply([
      ruleFixture('a/x/1', { hosts: ['one'], matches: [matchFixture('~/(')] }),
      ruleFixture('a/x/2', { hosts: ['two'], action: respondFixture('new') }),
    ]);
    expect(applied.accepted).toBe(true);
    expect(messages(applied)).toEqual([expect.stringMatching(/^rule\/a\/x\/1: matches\[0\]\.path\.value: /)]);
    expect(gateway.ask('GET /', 'one')).toBe('200 old');
    expect(gateway.ask('GET /', 'two')).toBe('200 new');
    expect(messages(gateway.apply([ruleFixture('a/x/3')]))).toHaveLength(1);
    expect(messages(gateway.apply([ruleFixture('a/x/1', { hosts: ['one'], action: respondFixture('good') })]))).toEqual(
      [],
    );
    expect(gateway.ask('GET /', 'one')).toBe('200 good');
  });

  test.each([
    ['an action this build does not know', { action: { kind: 'mirror' } }],
    ['a field this build does not know', { retries: 3 }],
    ['a policy that is not there', { policies: ['policy/a/jwt/authentication'] }],
    ['a backend that is not there', { action: forwardFixture('a/none') }],
    ['header edits that frame', { headers: { request: { remove: ['content-length'], set: [], add: [] } } }],
  ])('%s: with nothing before, its requests get 503 and do not fall through', (_what, more) => {
    const gateway = new Gateway();
    gateway.apply([ruleFixture('a/catch/all', { action: respondFixture('open') })]);
    const rule = { ...ruleFixture('a/x/1', { matches: [matchFixture('/secret')] }), ...more };
    const applied = gateway.apply([broken(rule.id, rule)]);
    expect(applied.rejected.map(({ id }) => id)).toEqual([rule.id]);
    expect(gateway.ask('GET /secret/x')).toBe('503 route-rejected');
    expect(gateway.ask('GET /other')).toBe('200 open');
    gateway.apply([], [rule.id]);
    expect(gateway.ask('GET /secret/x')).toBe('200 open');
    expect(gateway.apply([]).rejected).toEqual([]);
  });

  test('one wrong match of two: the other one is refused too, not served', () => {
    const gateway = new Gateway();
    gateway.apply([ruleFixture('a/x/1', { matches: [matchFixture('~/('), matchFixture('/ok')] })]);
    expect(gateway.ask('GET /ok')).toBe('503 route-rejected');
  });

  test('a policy section this build does not know: the rules that want it are refused', () => {
    const gateway = new Gateway();
    const id = 'policy/a/p/jwt';
    const rule = ruleFixture('a/x/1', { policies: [id] });
    const policy = { ...policyFixture('a/p', { section: 'timeout' }), id, config: { section: 'jwt' } };
    expect(messages(gateway.apply([rule, broken(id, policy)]))).toEqual([
      expect.stringMatching(/^policy\/a\/p\/jwt: config\.section: unknown section "jwt"/),
      `rule/a/x/1: policies[0]: there is no ${id}, or it was rejected`,
    ]);
    expect(gateway.ask('GET /')).toBe('503 route-rejected');
  });

  test('a policy that becomes unusable keeps its stage in force', () => {
    const gateway = new Gateway();
    const policy = (config: PolicySection) => ({ ...policyFixture('a/p', config), id: 'policy/a/p/s' });
    const fail = (code: string) => policy({ section: 'fail', of: 'authorization', status: 503, code, message: 'm' });
    gateway.apply([ruleFixture('a/x/1', { policies: ['policy/a/p/s'] }), fail('closed')]);
    expect(gateway.ask('GET /')).toBe('503 closed');
    const cors = { section: 'cors' as const, allowMethods: [], allowHeaders: [], exposeHeaders: [], maxAgeSeconds: 5 };
    const applied = gateway.apply([policy({ ...cors, allowOrigins: ['*'], allowCredentials: true })]);
    expect(messages(applied)).toEqual([expect.stringMatching(/^policy\/a\/p\/s: config\.allowOrigins\[0\]: /)]);
    expect(applied.built).toEqual({ rules: 0, policies: 0, upstreams: 0, routerNodes: 0 });
    expect(gateway.ask('GET /')).toBe('503 closed');
  });

  test('a policy that goes while a rule wants it: refused; it comes back: served', () => {
    const gateway = new Gateway();
    const policy = policyFixture('a/p', { section: 'timeout', requestMs: 1 });
    gateway.apply([ruleFixture('a/x/1', { policies: [policy.id], action: respondFixture('ok') }), policy]);
    expect(gateway.ask('GET /')).toBe('200 ok');
    expect(messages(gateway.apply([], [policy.id]))).toHaveLength(1);
    expect(gateway.ask('GET /')).toBe('503 route-rejected');
    expect(messages(gateway.apply([policy]))).toEqual([]);
    expect(gateway.ask('GET /')).toBe('200 ok');
  });

  test('a backend that goes while a rule wants it: refused, not forwarded to what is closed', () => {
    const gateway = new Gateway();
    gateway.apply([...orders, ordersRule]);
    expect(messages(gateway.apply([], ['backend/shop/orders']))).toEqual([
      'rule/shop/orders/all: action.backends: there is no backend/shop/orders, or it was rejected',
    ]);
    expect(gateway.upstreams[0]?.closed).toBe(1);
    expect(gateway.ask('GET /orders')).toBe('503 route-rejected');
  });

  test('a rule that goes back to what it had follows the parts of that', () => {
    const gateway = new Gateway();
    const policy = (code: string) =>
      policyFixture('a/p', { section: 'fail', of: 'cors', status: 503, code, message: 'm' });
    gateway.apply([ruleFixture('a/x/1', { policies: [policy('1').id] }), policy('1')]);
    gateway.apply([ruleFixture('a/x/1', { policies: ['policy/a/none/cors'] })]);
    expect(gateway.ask('GET /')).toBe('503 1');
    gateway.apply([policy('2')]);
    expect(gateway.ask('GET /')).toBe('503 2');
  });

  test('a backend without its endpoints: its rules wait for them', () => {
    const gateway = new Gateway();
    const applied = gateway.apply([orders[0] as Resource, ordersRule]);
    expect(messages(applied)).toEqual([
      'backend/shop/orders: endpoints: there is no endpoints/shop/orders, or it was rejected',
      'rule/shop/orders/all: action.backends: there is no backend/shop/orders, or it was rejected',
    ]);
    expect(gateway.ask('GET /orders')).toBe('503 route-rejected');
    expect(messages(gateway.apply([orders[1] as Resource]))).toEqual([]);
    gateway.send('GET /orders');
    expect(gateway.forwarded).toHaveLength(1);
  });

  test('endpoints that can not be read leave the backend with those it had', () => {
    const gateway = new Gateway();
    gateway.apply([...orders, ordersRule]);
    const applied = gateway.apply([
      broken('endpoints/shop/orders', { kind: 'endpoints', id: 'endpoints/shop/orders' }),
    ]);
    expect(messages(applied)).toEqual([expect.stringMatching(/^endpoints\/shop\/orders: endpoints: /)]);
    gateway.send('GET /orders');
    expect(gateway.forwarded.at(-1)?.upstream.endpoints).toEqual(orders[1]);
  });

  test('an upstream that can not be made is the rejection of its backend', () => {
    const gateway = new Gateway();
    const applied = gateway.apply([backendFixture('a/b'), endpointsFixture('a/b', 'unusable:1')]);
    expect(applied.accepted).toBe(true);
    expect(messages(applied)).toEqual(['backend/a/b: could not be built: no such thing']);
  });
});

test('an upstream that can not be updated is the rejection of its backend, until it can', () => {
  const gateway = new Gateway();
  gateway.apply([...orders, ordersRule]);
  const applied = gateway.apply([
    endpointsFixture('shop/orders', 'unusable:1'),
    ruleFixture('a/x/1', { hosts: ['x'] }),
  ]);
  expect(messages(applied)).toEqual(['backend/shop/orders: could not be updated: no such thing']);
  expect(gateway.ask('GET /', 'x')).toBe('200 a/x/1');
  expect(gateway.apply([endpointsFixture('shop/orders', '10.0.0.3:80')]).rejected).toEqual([]);
});

describe('exchanges in flight', () => {
  test('finish on the generation they began on; what only it uses is closed after the last of them', () => {
    const gateway = new Gateway();
    const edits = (value: string) =>
      policyFixture('shop/p', {
        section: 'transform',
        response: { remove: [], set: [{ name: 'x-v', value }], add: [] },
      });
    gateway.apply([...orders, { ...ordersRule, policies: [edits('1').id] }, edits('1')]);
    const old = gateway.send('GET /orders/1');
    gateway.apply([edits('2')]);
    gateway.apply([], [ordersRule.id, 'backend/shop/orders', 'endpoints/shop/orders']);
    expect(gateway.ask('GET /orders/1')).toBe('404 no-route');
    const [upstream] = gateway.upstreams;
    expect(upstream?.closed).toBe(0);
    expect(gateway.runtime.liveGenerations).toBe(2);
    gateway.forwarded[0]?.answer();
    expect(old.status).toBe(200);
    expect(old.headers?.get('x-v')).toBe('1');
    expect(upstream?.closed).toBe(1);
    expect(gateway.runtime.liveGenerations).toBe(1);
    expect(gateway.errors).toEqual([]);
  });

  test('a long one keeps its own upstreams only, not all that came and went since', () => {
    const gateway = new Gateway();
    gateway.apply([...orders, ordersRule]);
    gateway.send('GET /orders/1');
    gateway.apply([backendFixture('a/b'), endpointsFixture('a/b', '10.0.0.9:80')]);
    gateway.apply([], ['backend/a/b', 'endpoints/a/b']);
    expect(gateway.upstreams.map(({ closed }) => closed)).toEqual([0, 1]);
  });

  test('what can not be closed keeps nothing else open', () => {
    const gateway = new Gateway();
    gateway.apply([...orders, ordersRule, backendFixture('a/b'), endpointsFixture('a/b', '10.0.0.9:80')]);
    const [stuck, other] = gateway.upstreams as [HeldUpstream, HeldUpstream];
    stuck.close = () => {
      throw new Error('stuck');
    };
    gateway.send('GET /orders/1');
    const applied = gateway.apply([], [ordersRule.id, 'backend/shop/orders', 'backend/a/b']);
    expect([applied.accepted, applied.message]).toEqual([true, '']);
    gateway.forwarded[0]?.answer();
    expect(other.closed).toBe(1);
    expect(gateway.errors).toEqual([expect.stringContaining('could not be closed')]);
    expect(gateway.runtime.pipeline.inFlight).toBe(0);
  });

  test('close closes what is running', () => {
    const gateway = new Gateway();
    gateway.apply(orders);
    gateway.runtime.close();
    expect(gateway.upstreams[0]?.closed).toBe(1);
  });
});

test('a preflight reaches the CORS stage of a rule for another method', () => {
  const gateway = new Gateway();
  const cors = policyFixture('a/p', {
    section: 'cors',
    allowOrigins: ['https://app.example'],
    allowMethods: ['DELETE'],
    allowHeaders: [],
    exposeHeaders: [],
    allowCredentials: true,
    maxAgeSeconds: 60,
  });
  gateway.apply([
    cors,
    ruleFixture('a/x/1', { matches: [matchFixture('/', { methods: ['DELETE'] })], policies: [cors.id] }),
  ]);
  const fields = ['origin', 'https://app.example', 'access-control-request-method', 'DELETE'];
  expect(gateway.send('OPTIONS /', fields).status).toBe(204);
  expect(gateway.ask('OPTIONS /')).toBe('404 no-route');
});

test('a rule has the last word over its policy on requests and on responses; both in the place of transform', () => {
  const gateway = new Gateway();
  const set = (name: string, value: string) => ({ remove: [], set: [{ name, value }], add: [] });
  const policy = policyFixture('a/p', {
    section: 'transform',
    request: set('x-q', 'policy'),
    response: set('x-s', 'policy'),
  });
  const rule = {
    ...ordersRule,
    policies: [policy.id],
    headers: { request: set('x-q', 'rule'), response: set('x-s', 'rule') },
  };
  gateway.apply([...orders, policy, rule]);
  const downstream = gateway.send('GET /orders');
  expect(gateway.forwarded[0]?.exchange.headers.get('x-q')).toBe('rule');
  gateway.forwarded[0]?.answer();
  expect(downstream.headers?.get('x-s')).toBe('rule');
});

test('two blocks for one section are refused', () => {
  const gateway = new Gateway();
  const [one, two] = ['a/p', 'a/q'].map((name) => policyFixture(name, { section: 'timeout', requestMs: 1 }));
  const rule = ruleFixture('a/x/1', { policies: ['policy/a/p/timeout', 'policy/a/q/timeout'] });
  expect(messages(gateway.apply([one as Resource, two as Resource, rule]))).toEqual([
    'rule/a/x/1: policies[1]: a second timeout section',
  ]);
});

test('weights share out the requests, an unresolved reference answers its share', () => {
  const gateway = new Gateway();
  const two = [backendFixture('shop/two'), endpointsFixture('shop/two', '10.0.0.2:80')];
  const fail = { status: 500, code: 'backend-not-found', message: 'Backend shop/gone is not there.' };
  const backends = [
    { weight: 1, backend: 'backend/shop/orders' },
    { weight: 0, backend: 'backend/shop/two' },
    { weight: 2, backend: 'backend/shop/two' },
    { weight: 1, fail },
  ];
  gateway.apply([...orders, ...two, { ...ordersRule, action: { kind: 'forward', backends } }]);
  const at = (random: number) => {
    gateway.random = random;
    const { status } = gateway.send('GET /orders');
    return status === 0 ? gateway.forwarded.at(-1)?.upstream.id : status;
  };
  expect([0, 0.24, 0.25, 0.74, 0.75, 0.999].map(at)).toEqual([
    'backend/shop/orders',
    'backend/shop/orders',
    'backend/shop/two',
    'backend/shop/two',
    500,
    500,
  ]);
});

test('no weight above 0 is a 500', () => {
  const gateway = new Gateway();
  const backends = [{ weight: 0, backend: 'backend/shop/orders' }];
  gateway.apply([...orders, { ...ordersRule, action: { kind: 'forward', backends } }]);
  expect(gateway.ask('GET /orders')).toBe('500 no-backend');
});

test('describe shows what runs and no value that may be a secret', () => {
  const gateway = new Gateway();
  const secret = { remove: ['x-a'], set: [{ name: 'authorization', value: 'Bearer s3cret' }], add: [] };
  const policy = policyFixture('a/p', { section: 'transform', request: secret });
  gateway.apply([...orders, policy, { ...ordersRule, policies: [policy.id], headers: { response: secret } }]);
  gateway.apply([ruleFixture('a/x/1', { policies: ['policy/none'], action: respondFixture('s3cret') })]);
  const shown = gateway.runtime.describe();
  expect(shown.revision).toBe(gateway.runtime.revision);
  expect(shown.rejected.map(({ id }) => id)).toEqual(['rule/a/x/1']);
  expect(shown.rules).toMatchObject([
    { id: 'rule/a/x/1', refused: true },
    { id: 'rule/shop/orders/all', refused: false, effectiveTimeouts: { requestMs: 0, backendMs: 60_000 } },
  ]);
  expect(shown.backends).toMatchObject([{ id: 'backend/shop/orders', endpoints: [{ address: '10.0.0.1' }] }]);
  expect(JSON.stringify(shown)).toContain('authorization');
  expect(JSON.stringify(shown)).not.toContain('s3cret');
});
