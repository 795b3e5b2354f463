import { describe, expect, test } from 'vitest';
import { createMemoryStore } from '../../limit/memory-store.ts';
import { storeFixture } from '../../limit/store.fixture.ts';
import type { Decision, Limiter, LimiterOptions, LimitStore } from '../../limit/store.ts';
import { newDecision } from '../../limit/store.ts';
import type { Stage } from '../../pipeline/chain.ts';
import type { Answer, Exchange } from '../../pipeline/exchange.ts';
import { Headers } from '../../pipeline/headers.ts';
import { type MemoryRequest, memoryExchange } from '../../pipeline/memory-downstream.ts';
import { type RateLimitSection, rateLimitSection } from '../../snapshot/sections/rate-limit.ts';
import { contextFixture } from '../context.fixture.ts';
import { StageError } from '../stage-error.ts';
import { createRateLimit } from './stage.ts';

type LimitInput = Record<string, unknown>;

const perSecond = (more: LimitInput = {}): LimitInput => ({
  name: 'per-client',
  algorithm: 'fixedWindow',
  limit: 2,
  windowMs: 1_000,
  key: [{ by: 'address' }],
  ...more,
});

class Scene {
  readonly fixture = storeFixture();
  readonly context;
  readonly stage: Stage;
  readonly config: RateLimitSection;

  constructor(limits: LimitInput[], redis: LimitStore | null = null, more: Record<string, unknown> = {}) {
    const { services } = contextFixture();
    const memory = createMemoryStore(this.fixture.memory, 0, () => this.fixture.now);
    this.context = contextFixture({
      policy: 'policy/a/b/rateLimit',
      services: { ...services, limits: { memory, redis } },
    });
    this.config = rateLimitSection.parse({ section: 'rateLimit', limits, ...more });
    this.stage = createRateLimit(this.config, this.context);
  }

  exchange(from = '192.0.2.1', more: MemoryRequest = {}): Exchange {
    return memoryExchange('GET /', { clientAddress: from, ...more });
  }

  async ask(exchange = this.exchange()): Promise<Answer | undefined> {
    return (await this.stage.onRequest?.(exchange)) ?? undefined;
  }

  /** The response phase with fields of a backend; what the client then gets. */
  respond(exchange: Exchange, fields: string[] = []): Headers {
    exchange.responseHeaders = new Headers(fields);
    void this.stage.onResponse?.(exchange);
    return exchange.responseHeaders;
  }

  counts(): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const [key, value] of this.context.counters.image()) {
      const [, limit, outcome] = /limit=([^\0]+)\0outcome=([^\0]+)/.exec(key) ?? [];
      if (value > 0) counts[`${limit} ${outcome}`] = value;
    }
    return counts;
  }
}

describe('a limit', () => {
  test('admits so many, then answers 429 with what the client needs to know', async () => {
    const scene = new Scene([perSecond()]);
    const first = scene.exchange();
    expect(await scene.ask(first)).toBeUndefined();
    expect(scene.respond(first).fields).toEqual([
      'ratelimit-policy',
      '"per-client";q=2;w=1',
      'ratelimit',
      '"per-client";r=1;t=1',
    ]);
    expect(await scene.ask()).toBeUndefined();
    scene.fixture.now += 100;
    const third = scene.exchange();
    const refused = await scene.ask(third);
    expect(refused).toMatchObject({ status: 429, code: 'rate-limited' });
    expect(refused?.headers.get('retry-after')).toBe('1');
    expect(JSON.parse(refused?.body as string).detail).toBe('Too many requests: the limit "per-client" is reached.');
    expect(scene.respond(third).get('ratelimit')).toBe('"per-client";r=0;t=1');
    expect(await scene.ask(scene.exchange('192.0.2.2'))).toBeUndefined();
    expect(scene.counts()).toEqual({ 'per-client allowed': 3, 'per-client refused': 1 });
  });

  test('says beside the fields of the backend what it has to say itself, or nothing', async () => {
    const scene = new Scene([perSecond()]);
    const exchange = scene.exchange();
    await scene.ask(exchange);
    expect(scene.respond(exchange, ['ratelimit', '"backend";r=9']).getCombined('ratelimit')).toBe(
      '"backend";r=9, "per-client";r=1;t=1',
    );
    expect(scene.respond(scene.exchange(), ['x', 'y']).fields).toEqual(['x', 'y']);
    const quiet = new Scene([perSecond()], null, { responseFields: false });
    expect(quiet.stage.onResponse).toBeUndefined();
  });

  test('in dry run counts and says so in the log, refuses nobody, and is not told', async () => {
    const scene = new Scene([perSecond({ dryRun: true, limit: 1 })]);
    const [one, two] = [scene.exchange(), scene.exchange()];
    expect(await scene.ask(one)).toBeUndefined();
    expect(await scene.ask(two)).toBeUndefined();
    expect([one.wouldRefuse, two.wouldRefuse]).toEqual(['', 'rate-limited']);
    expect(scene.respond(two).fields).toEqual([]);
    expect(scene.counts()).toEqual({ 'per-client allowed': 1, 'per-client dry_run': 1 });
  });

  test('a policy made anew goes on where it was; another window starts again', async () => {
    const scene = new Scene([perSecond({ limit: 2 })]);
    await scene.ask();
    await scene.ask();
    const edited = rateLimitSection.parse({
      section: 'rateLimit',
      limits: [perSecond({ limit: 3, overrides: [{ consumers: ['a'], limit: 9 }] })],
    });
    const again = createRateLimit(edited, scene.context);
    expect(again.onRequest?.(scene.exchange())).toBeUndefined();
    expect(again.onRequest?.(scene.exchange())).toMatchObject({ status: 429 });
    const other = rateLimitSection.parse({ section: 'rateLimit', limits: [perSecond({ windowMs: 2_000 })] });
    expect(createRateLimit(other, scene.context).onRequest?.(scene.exchange())).toBeUndefined();
  });
});

describe('several limits', () => {
  const two = [perSecond({ limit: 5 }), perSecond({ name: 'all', limit: 3, windowMs: 60_000, key: [] })];

  test('all must admit, and what the first took is given back where the second refuses', async () => {
    const scene = new Scene(two);
    for (let i = 0; i < 3; i++) expect(await scene.ask()).toBeUndefined();
    const exchange = scene.exchange();
    for (let i = 0; i < 10; i++) expect(await scene.ask(i === 0 ? exchange : undefined)).toMatchObject({ status: 429 });
    expect(scene.respond(exchange).get('ratelimit')).toBe('"per-client";r=1;t=1, "all";r=0;t=59');
    expect(scene.respond(exchange).get('ratelimit-policy')).toBe('"per-client";q=5;w=1, "all";q=3;w=60');
    const only = new Scene([two[0] as LimitInput]);
    const { memory } = only.context.services.limits;
    expect(memory).toBeDefined();
    const decision = newDecision();
    const options: LimiterOptions = {
      scope: 'policy/a/b/rateLimit per-client fixedWindow 1000',
      ...{ algorithm: 'fixedWindow', limit: 5, windowMs: 1_000, burst: 5, global: false, mode: 'exact' },
    };
    scene.context.services.limits.memory.open(options).take('192.0.2.1', 0, decision);
    expect(decision.remaining).toBe(2);
  });
});

describe('keys', () => {
  const identity = {
    consumer: 'acme',
    groups: ['gold'],
    scopes: [],
    claims: { tenant: 't1', level: 3, roles: ['a'], org: { id: 7 } },
    method: 'm',
  };
  const spent = async (key: unknown[], one: Exchange, other: Exchange): Promise<boolean> => {
    const scene = new Scene([perSecond({ limit: 1, key })]);
    expect(await scene.ask(one)).toBeUndefined();
    return (await scene.ask(other)) !== undefined;
  };
  const exchange = (more: Partial<Exchange> & MemoryRequest = {}): Exchange => {
    const { fields, clientAddress, ...rest } = more;
    return Object.assign(
      memoryExchange('GET /', { ...(fields && { fields }), ...(clientAddress && { clientAddress }) }),
      rest,
    );
  };

  test.each<[string, unknown[], Exchange, Exchange, boolean]>([
    [
      'the same network',
      [{ by: 'address' }],
      exchange({ clientAddress: '2001:db8::1' }),
      exchange({ clientAddress: '2001:db8::2' }),
      true,
    ],
    [
      'another network',
      [{ by: 'address' }],
      exchange({ clientAddress: '2001:db8:0:1::1' }),
      exchange({ clientAddress: '2001:db8::1' }),
      false,
    ],
    ['the same consumer', [{ by: 'consumer' }], exchange({ identity }), exchange({ identity }), true],
    [
      'another consumer',
      [{ by: 'consumer' }],
      exchange({ identity }),
      exchange({ identity: { ...identity, consumer: 'b' } }),
      false,
    ],
    ['nobody and nobody', [{ by: 'consumer' }], exchange(), exchange(), true],
    [
      'a claim',
      [{ by: 'claim', name: 'tenant' }],
      exchange({ identity }),
      exchange({ identity: { ...identity, claims: { tenant: 't2' } } }),
      false,
    ],
    [
      'a claim that is no text',
      [{ by: 'claim', name: 'roles' }],
      exchange({ identity }),
      exchange({ identity: { ...identity, claims: { roles: ['b'] } } }),
      false,
    ],
    [
      'a claim within a claim',
      [{ by: 'claim', name: 'org.id' }],
      exchange({ identity }),
      exchange({ identity: { ...identity, claims: { org: { id: 8 } } } }),
      false,
    ],
    ['no such claim', [{ by: 'claim', name: 'constructor' }], exchange({ identity }), exchange(), true],
    [
      'a header',
      [{ by: 'header', name: 'x-t' }],
      exchange({ fields: ['x-t', 'a'] }),
      exchange({ fields: ['x-t', 'b'] }),
      false,
    ],
    [
      'no header and an empty one',
      [{ by: 'header', name: 'x-t' }],
      exchange({ fields: ['x-t', ''] }),
      exchange(),
      true,
    ],
    [
      'two parts that read the same together',
      [
        { by: 'header', name: 'x-a' },
        { by: 'header', name: 'x-b' },
      ],
      exchange({ fields: ['x-a', '1:', 'x-b', ''] }),
      exchange({ fields: ['x-a', '', 'x-b', '1:'] }),
      false,
    ],
    [
      'two parts, one of them other',
      [{ by: 'consumer' }, { by: 'address' }],
      exchange({ identity, clientAddress: '192.0.2.1' }),
      exchange({ identity, clientAddress: '192.0.2.2' }),
      false,
    ],
  ])('%s', async (_name, key, one, other, same) => {
    expect(await spent(key, one, other)).toBe(same);
  });

  test('route and rule', async () => {
    const { ruleFixture } = await import('../../snapshot/fixtures.ts');
    const at = (name: string): Exchange => {
      const resource = ruleFixture(name);
      const rule = { id: resource.id, hash: '', resource, request: [], response: [], finish: [], share: null };
      return exchange({ rule: { ...rule, terminal: () => {}, requestTimeoutMs: 0, backendTimeoutMs: 0 } });
    };
    expect(await spent([{ by: 'route' }], at('a/r/one'), at('a/r/two'))).toBe(true);
    expect(await spent([{ by: 'route' }], at('a/r/one'), at('a/s/one'))).toBe(false);
    expect(await spent([{ by: 'rule' }], at('a/r/one'), at('a/r/two'))).toBe(false);
    expect(await spent([], at('a/r/one'), at('b/s/two'))).toBe(true);
  });

  test('the first override that names the caller counts', async () => {
    const overrides = [
      { consumers: ['acme'], limit: 3 },
      { groups: ['gold'], limit: 4, windowMs: 2_000 },
    ];
    const remaining = async (who: Partial<typeof identity> | null): Promise<string | undefined> => {
      const scene = new Scene([perSecond({ limit: 2, overrides })]);
      const caller = exchange({ identity: who === null ? null : { ...identity, ...who } });
      await scene.ask(caller);
      return scene.respond(caller).get('ratelimit-policy');
    };
    expect(await remaining({})).toBe('"per-client";q=3;w=1');
    expect(await remaining({ consumer: 'b' })).toBe('"per-client";q=4;w=2');
    expect(await remaining({ consumer: 'b', groups: [] })).toBe('"per-client";q=2;w=1');
    expect(await remaining(null)).toBe('"per-client";q=2;w=1');
  });
});

describe('cost', () => {
  test.each([
    [undefined, 4],
    ['3', 3],
    ['0', 1],
    ['99', 5],
    ['-1', 4],
    ['1e9', 4],
    ['', 4],
  ])('of a request field %s: %i', async (value, expected) => {
    const cost = { from: 'requestHeader', name: 'x-cost', default: 4, max: 5 };
    const scene = new Scene([perSecond({ limit: 10, cost })]);
    const exchange = scene.exchange(undefined, { fields: value === undefined ? [] : ['x-cost', value] });
    await scene.ask(exchange);
    expect(scene.respond(exchange).get('ratelimit')).toBe(`"per-client";r=${10 - expected};t=1`);
  });

  test('of a response: admitted while anything is left, charged when it is there', async () => {
    const cost = { from: 'responseHeader', name: 'x-cost', default: 1, max: 50 };
    const scene = new Scene([perSecond({ limit: 10, cost })]);
    const exchange = scene.exchange();
    expect(await scene.ask(exchange)).toBeUndefined();
    scene.respond(exchange, ['x-cost', '9']);
    expect(await scene.ask(exchange)).toBeUndefined();
    scene.respond(exchange, ['x-cost', '70']);
    const refused = scene.exchange();
    expect(await scene.ask(refused)).toMatchObject({ status: 429 });
    scene.respond(refused, []);
    scene.fixture.now += 1_000;
    const next = scene.exchange();
    expect(await scene.ask(next)).toBeUndefined();
    scene.respond(next, []);
    const after = scene.exchange();
    await scene.ask(after);
    expect(scene.respond(after).get('ratelimit')).toBe('"per-client";r=9;t=1');
  });
});

describe('requests in flight', () => {
  const inFlight = { name: 'flight', algorithm: 'concurrency', limit: 1 };

  test('one that is over makes room, however it ended, and only once', async () => {
    const scene = new Scene([inFlight]);
    const [one, two, three] = [scene.exchange(), scene.exchange(), scene.exchange()];
    expect(await scene.ask(one)).toBeUndefined();
    const refused = await scene.ask(two);
    expect(refused).toMatchObject({ status: 429, code: 'concurrency-limited' });
    expect(refused?.headers.get('retry-after')).toBe('1');
    expect(scene.respond(two).fields).toEqual([
      'ratelimit-policy',
      '"flight";q=1;qu="concurrent-requests"',
      'ratelimit',
      '"flight";r=0',
    ]);
    scene.stage.onFinish?.(two);
    expect(await scene.ask(two)).toMatchObject({ status: 429 });
    scene.stage.onFinish?.(one);
    expect(await scene.ask(three)).toBeUndefined();
    scene.stage.onFinish?.(three);
    scene.stage.onFinish?.(scene.exchange());
  });

  test('is given back where a later limit refuses', async () => {
    const scene = new Scene([inFlight, perSecond({ limit: 1 })]);
    const [one, two] = [scene.exchange(), scene.exchange()];
    await scene.ask(one);
    scene.stage.onFinish?.(one);
    expect(await scene.ask(two)).toMatchObject({ code: 'rate-limited' });
    scene.stage.onFinish?.(two);
    scene.fixture.now += 1_000;
    expect(await scene.ask()).toBeUndefined();
  });
});

describe('a store that fails', () => {
  /** Answers when it is told, and then what it is told. */
  class LateStore implements LimitStore {
    readonly waiting: ((outcome: 'admitted' | 'failed') => void)[] = [];
    givenBack = 0;
    open(_options: LimiterOptions): Limiter {
      return {
        take: (_key: string, _cost: number, decision: Decision) =>
          new Promise<void>((resolve) => {
            this.waiting.push((outcome) => {
              Object.assign(decision, {
                admitted: outcome === 'admitted',
                failed: outcome === 'failed',
                remaining: 7,
                resetMs: 500,
                retryMs: 0,
              });
              resolve();
            });
          }),
        giveBack: () => {
          this.givenBack++;
        },
        charge: () => {},
      };
    }
  }
  const shared = (more: LimitInput): LimitInput => perSecond({ store: 'redis', scope: 'global', limit: 1, ...more });
  const asked = (scene: Scene, store: LateStore, outcome: 'admitted' | 'failed', exchange = scene.exchange()) => {
    const answer = scene.ask(exchange);
    store.waiting.pop()?.(outcome);
    return answer;
  };

  test('allow: on it goes, without the limit', async () => {
    const store = new LateStore();
    const scene = new Scene([shared({ onStoreFailure: 'allow' })], store);
    for (let i = 0; i < 3; i++) expect(await asked(scene, store, 'failed')).toBeUndefined();
    expect(scene.counts()).toEqual({ 'per-client store_failed': 3 });
  });

  test('deny: 503, and what other limits took is given back', async () => {
    const store = new LateStore();
    const scene = new Scene([perSecond({ name: 'own', limit: 1 }), shared({ onStoreFailure: 'deny' })], store);
    for (let i = 0; i < 3; i++) {
      expect(await asked(scene, store, 'failed')).toMatchObject({ status: 503, code: 'rate-limit-unavailable' });
    }
    expect(scene.counts()).toEqual({ 'own allowed': 3, 'per-client store_failed': 3 });
  });

  test('local: by the share of this data plane meanwhile', async () => {
    const store = new LateStore();
    const scene = new Scene([shared({ limit: 4 })], store);
    scene.fixture.share({ place: 0, of: 2 });
    expect(await asked(scene, store, 'failed')).toBeUndefined();
    expect(await asked(scene, store, 'failed')).toBeUndefined();
    expect(await asked(scene, store, 'failed')).toMatchObject({ status: 429 });
    expect(await asked(scene, store, 'admitted')).toBeUndefined();
    expect(scene.counts()).toMatchObject({ 'per-client store_failed': 3, 'per-client refused': 1 });
  });
});

test('explain looks without taking', async () => {
  const scene = new Scene([perSecond({ limit: 1 }), { name: 'flight', algorithm: 'concurrency', limit: 3 }]);
  for (let i = 0; i < 3; i++) {
    expect(await scene.stage.explain?.(scene.exchange())).toEqual({
      text: 'per-client: 1 left; flight: 3 left',
      answer: null,
    });
  }
  await scene.ask();
  expect(await scene.stage.explain?.(scene.exchange())).toEqual({
    text: 'per-client: 0 left; flight: 2 left',
    answer: { status: 429, code: 'rate-limited' },
  });
});

describe('can not be built', () => {
  test.each<[string, LimitInput[]]>([
    ['limits[0].windowMs: must be set', [perSecond({ windowMs: undefined })]],
    ['limits[0].windowMs: concurrency has no window', [perSecond({ algorithm: 'concurrency' })]],
    ['limits[0].burst: only a token bucket has one', [perSecond({ burst: 3 })]],
    [
      'limits[0].overrides[1].burst: only a token bucket',
      [
        perSecond({
          overrides: [
            { consumers: ['a'], limit: 1 },
            { limit: 1, burst: 2 },
          ],
        }),
      ],
    ],
    [
      'limits[0].cost: each request in flight',
      [{ name: 'a', algorithm: 'concurrency', limit: 1, cost: { from: 'fixed', amount: 2 } }],
    ],
    ['limits[0].cost.amount: above 2', [perSecond({ cost: { from: 'fixed', amount: 3 } })]],
    ['limits[0].scope: a limit in Redis is global', [perSecond({ store: 'redis' })]],
    [
      'limits[0].store: requests in flight are not counted in Redis',
      [{ name: 'a', algorithm: 'concurrency', limit: 1, store: 'redis', scope: 'global' }],
    ],
    [
      'limits[0].store: this data plane has no Redis: set TIDEGATE_REDIS_URL',
      [perSecond({ store: 'redis', scope: 'global' })],
    ],
    ['limits[1].name: a second limit called per-client', [perSecond(), perSecond()]],
  ])('%s', (message, limits) => {
    expect(() => new Scene(limits)).toThrow(StageError);
    expect(() => new Scene(limits)).toThrow(message);
  });
});
