/** However a configuration came about, it runs as if it had been the first: no trace of what was there before. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Headers } from '../pipeline/headers.ts';
import { MemoryDownstream, memoryExchange } from '../pipeline/memory-downstream.ts';
import { encodeResource } from '../snapshot/decode.ts';
import { backendFixture, endpointsFixture, matchFixture, policyFixture, ruleFixture } from '../snapshot/fixtures.ts';
import type { Resource } from '../snapshot/resources.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { referencesOf } from './compile-rule.ts';
import { RUNTIME_DEFAULTS } from './deps.ts';
import { type Applied, Runtime } from './runtime.ts';
import { QUIET_STAGES } from './stages.fixture.ts';

/** Names of things that may refer to each other, few so that they meet. */
const NAMES = ['a/1', 'a/2', 'a/3'];
const HOSTS = ['*', '*.b', 'a.b'];
const PATHS = ['/', '/p', '=/p', '/p/q'];

/** An upstream as far as it matters here: one object a pool, open until closed. */
interface Pool {
  readonly id: string;
  addresses: string;
}

class Site {
  readonly open = new Set<Pool>();
  readonly waiting: (() => void)[] = [];
  readonly runtime: Runtime;
  #held: string[] = [];

  constructor() {
    this.runtime = new Runtime({
      createUpstream: ({ id }, { endpoints }) => {
        const addresses = (list: typeof endpoints) => list.map(({ address }) => address).join();
        const pool = {
          id,
          addresses: addresses(endpoints),
          update: (_backend: unknown, next: { endpoints: typeof endpoints }) => {
            pool.addresses = addresses(next.endpoints);
          },
          close: () => {
            if (!this.open.delete(pool)) throw new Error(`${id} was closed twice`);
          },
          states: () => [],
        };
        this.open.add(pool);
        return pool as unknown as Upstream;
      },
      forward: (exchange, upstream, _options, responder) => {
        const respond = () => {
          exchange.status = 200;
          const pool = upstream as unknown as Pool;
          if (!this.open.has(pool)) throw new Error(`${pool.id} was closed while an exchange needed it`);
          exchange.responseHeaders = new Headers(['x-upstream', `${pool.id} ${pool.addresses}`]);
          responder.respond(exchange, {
            proceed: () => {
              exchange.downstream.writeHead(200, exchange.responseHeaders as Headers, 0);
              responder.finish(exchange);
            },
            discard: () => {},
          });
        };
        if (exchange.query === 'wait') this.waiting.push(respond);
        else respond();
      },
      onFinish: () => {},
      logError: (message, _exchange, error) => {
        throw new Error(message, { cause: error });
      },
      newRequestId: () => 'id',
      now: () => 0,
      random: () => 0,
      setTimer: () => () => {},
      stages: QUIET_STAGES,
      defaults: RUNTIME_DEFAULTS,
    });
  }

  become(resources: readonly Resource[]): Applied {
    const ids = resources.map(({ id }) => id);
    const removed = this.#held.filter((id) => !ids.includes(id));
    this.#held = ids;
    return this.runtime.apply({ upsert: resources.map(encodeResource), removed });
  }

  ask(authority: string, path: string): string {
    const downstream = new MemoryDownstream();
    this.runtime.handler(memoryExchange(`GET ${path}`, { authority, downstream }));
    return `${downstream.status} ${downstream.headers?.fields} ${downstream.body}`;
  }

  pools(): string[] {
    return Array.from(this.open, ({ id, addresses }) => `${id} ${addresses}`).sort();
  }

  everything(): string[] {
    return ['a.b', 'x.b', 'y'].flatMap((host) => ['/', '/p', '/p/q', '/z'].map((path) => this.ask(host, path)));
  }
}

const transformOf = (policy: string) => `policy/${policy}/transform`;
const name = fc.constantFrom(...NAMES);
const version = fc.integer({ min: 1, max: 3 });
const rule = fc
  .record({
    name,
    order: version,
    host: fc.constantFrom(...HOSTS),
    path: fc.constantFrom(...PATHS),
    backend: name,
    policies: fc.subarray(NAMES, { maxLength: 1 }),
    /** Of its one share; undefined: those of the rule. */
    share: fc.option(fc.subarray(NAMES, { maxLength: 1 }), { nil: undefined }),
  })
  .map(({ name: rule, order, host, path, backend, policies, share }) =>
    ruleFixture(`${rule}/r`, {
      order,
      hosts: [host],
      matches: [matchFixture(path)],
      action: {
        kind: 'forward',
        backends: [{ weight: 1, backend: `backend/${backend}`, ...(share && { policies: share.map(transformOf) }) }],
      },
      policies: policies.map(transformOf),
    }),
  );
const policy = fc.record({ name, version }).map(({ name: policyName, version: value }) =>
  policyFixture(policyName, {
    section: 'transform',
    response: { remove: [], set: [{ name: 'x-policy', value: `${policyName} ${value}` }], add: [] },
  }),
);
const backend = fc
  .record({ name, version })
  .map(({ name: id, version: ms }) => backendFixture(id, { connectTimeoutMs: ms }));
const endpoints = fc
  .record({ name, version })
  .map(({ name: id, version: n }) => endpointsFixture(id, `10.0.0.${n}:80`));
/** Any parts, references to what is missing included. */
const snapshot = fc.uniqueArray(fc.oneof<fc.Arbitrary<Resource>[]>(rule, policy, backend, endpoints), {
  selector: ({ id }) => id,
  maxLength: 5,
});
const ids = NAMES.flatMap((one) => [`rule/${one}/r`, `policy/${one}/transform`, `backend/${one}`, `endpoints/${one}`]);
/** One after the other, most of each as in the one before. */
const history = fc
  .array(fc.tuple(snapshot, fc.subarray(ids, { maxLength: 3 })), { minLength: 1, maxLength: 6 })
  .map((steps) => {
    const now = new Map<string, Resource>();
    return steps.map(([put, drop]) => {
      for (const id of drop) now.delete(id);
      for (const one of put) now.set(one.id, one);
      return [...now.values()];
    });
  });
/** Every reference leads somewhere. */
const whole = snapshot.map((some) => {
  const have = new Set(some.map(({ id }) => id));
  const needed = NAMES.flatMap((one): Resource[] => [
    policyFixture(one, { section: 'transform' }),
    backendFixture(one),
    endpointsFixture(one, '10.0.0.9:80'),
  ]);
  return [...some, ...needed.filter(({ id }) => !have.has(id))];
});

test('any way to a whole configuration leads to the same', () => {
  fc.assert(
    fc.property(history, whole, fc.boolean(), (before, last, busy) => {
      const site = new Site();
      for (const step of before) {
        site.become(step);
        // An exchange on each generation, so that none may close what it needs.
        if (busy) for (const host of ['a.b', 'y']) site.ask(host, '/p?wait');
      }
      const applied = site.become(last);
      const fresh = new Site();
      const first = fresh.become(last);
      expect(applied).toMatchObject({ accepted: true, rejected: [], message: '', revision: first.revision });
      for (const respond of site.waiting) respond();
      expect(site.runtime.pipeline.inFlight).toBe(0);
      expect(site.runtime.liveGenerations).toBe(1);
      expect(site.everything()).toEqual(fresh.everything());
      expect(site.pools()).toEqual(fresh.pools());
      expect({ ...site.runtime.describe(), generation: 0 }).toEqual({ ...fresh.runtime.describe(), generation: 0 });
    }),
    { numRuns: 250 },
  );
});

test('whatever is missing: an answer for every request, a rejection for every resource that does not run', () => {
  fc.assert(
    fc.property(history, (steps) => {
      const site = new Site();
      for (const step of steps) {
        const { rejected } = site.become(step);
        const sent = new Set(step.map(({ id }) => id));
        for (const { id } of rejected) expect(sent).toContain(id);
        for (const answer of site.everything()) expect(answer).toMatch(/^(200|404|503) /);
        for (const one of step) {
          if (one.kind !== 'rule') continue;
          const missing = referencesOf(one).some((id) => !sent.has(id));
          if (missing) expect(rejected.map(({ id }) => id)).toContain(one.id);
        }
      }
    }),
    { numRuns: 100 },
  );
});
