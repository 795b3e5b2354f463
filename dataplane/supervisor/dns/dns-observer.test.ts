/** With the backends as the process watches them, and answers given by hand. */
import { expect, test } from 'vitest';
import { silentLog } from '../../log.ts';
import { encodeResource } from '../../snapshot/decode.ts';
import { backendFixture } from '../../snapshot/fixtures.ts';
import type { EndpointNames, EndpointsResource } from '../../snapshot/resources.ts';
import { ObservedBackends } from '../observed-backends.ts';
import type { Addresses, Answer, ServiceRecord } from './answer.ts';
import { DnsObserver } from './dns-observer.ts';

const NAMES: EndpointNames = { minTtlMs: 1_000, maxTtlMs: 60_000 };
const found = (...v4: string[]): Answer<Addresses> => ({ kind: 'found', value: { v4, v6: [] }, ttlMs: 10_000 });

class Bench {
  readonly asked: string[] = [];
  readonly troubles: unknown[] = [];
  readonly answers = new Map<string, Answer<Addresses>>();
  readonly records = new Map<string, Answer<readonly ServiceRecord[]>>();
  readonly observed = new ObservedBackends(() => {});
  readonly observer: DnsObserver;
  #timers = new Set<() => void>();

  constructor() {
    this.observer = new DnsObserver({
      resolver: {
        addresses: async (name) => {
          this.asked.push(name);
          return this.answers.get(name) ?? { kind: 'none' };
        },
        services: async (name) => {
          this.asked.push(name);
          return this.records.get(name) ?? { kind: 'none' };
        },
      },
      setEndpoints: (id, endpoints) => this.observed.setEndpoints(id, endpoints),
      onTroubles: () => this.troubles.push(this.observer.troubles),
      log: silentLog,
      time: {
        now: () => 0,
        random: () => 0,
        setTimer: (run) => {
          this.#timers.add(run);
          return () => this.#timers.delete(run);
        },
      },
    });
    this.observed.add(this.observer);
  }

  get timers(): number {
    return this.#timers.size;
  }

  async set(name: string, addresses: readonly string[], names: EndpointNames | undefined = NAMES): Promise<void> {
    const endpoints: EndpointsResource = {
      kind: 'endpoints',
      id: `endpoints/${name}`,
      endpoints: addresses.map((address) => ({ address, port: 80, weight: 1 })),
      names,
    };
    this.observed.take({
      revision: '',
      upsert: [encodeResource(backendFixture(name)), encodeResource(endpoints)],
      removed: [],
    });
    await settle();
  }

  /** All names are asked for again. */
  async again(): Promise<void> {
    const runs = [...this.#timers];
    this.#timers.clear();
    for (const run of runs) run();
    await settle();
  }

  /** As workers are told; null: as sent. */
  told(name: string): string[] | null {
    return (
      this.observed
        .views()
        .get(`backend/${name}`)
        ?.endpoints?.map(({ address }) => address) ?? null
    );
  }
}

async function settle(): Promise<void> {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
}

test('a name of several backends is asked for once, and forgotten with the last of them', async () => {
  const bench = new Bench();
  bench.answers.set('db', found('10.0.0.1'));
  await bench.set('shop/a', ['db']);
  await bench.set('shop/b', ['10.0.0.9', 'db']);
  expect(bench.asked).toEqual(['db']);
  expect([bench.told('shop/a'), bench.told('shop/b')]).toEqual([['10.0.0.1'], ['10.0.0.1', '10.0.0.9']]);
  bench.answers.set('db', found('10.0.0.2', '10.0.0.3'));
  await bench.again();
  expect([bench.told('shop/a'), bench.told('shop/b')]).toEqual([
    ['10.0.0.2', '10.0.0.3'],
    ['10.0.0.2', '10.0.0.3', '10.0.0.9'],
  ]);
  for (const name of ['shop/a', 'shop/b']) {
    expect(bench.timers).toBe(1);
    bench.observed.take({ revision: '', upsert: [], removed: [`backend/${name}`] });
  }
  expect(bench.timers).toBe(0);
  expect(bench.observer.counts).toMatchObject({ names: 0, found: 2 });
});

test('a backend that has names no more is as sent; one without any costs nothing', async () => {
  const bench = new Bench();
  bench.answers.set('db', found('10.0.0.1'));
  await bench.set('shop/a', ['db']);
  await bench.set('shop/a', ['10.0.0.9'], undefined);
  expect(bench.told('shop/a')).toBeNull();
  expect(bench.timers).toBe(0);
  await bench.set('shop/b', ['10.0.0.9'], undefined);
  expect(bench.observed.views().has('backend/shop/b')).toBe(false);
  await bench.observer.settled();
});

test('the targets of SRV records are followed as long as the records name them', async () => {
  const bench = new Bench();
  const names = { ...NAMES, services: '_http._tcp.x' };
  const records = (...targets: string[]): Answer<readonly ServiceRecord[]> => ({
    kind: 'found',
    value: targets.map((target) => ({ target, port: 8080, priority: 0, weight: 1 })),
    ttlMs: 1_000,
  });
  bench.records.set('_http._tcp.x', records('a', 'b'));
  bench.answers.set('a.', found('10.0.0.1')).set('b.', found('10.0.0.2')).set('c.', found('10.0.0.3'));
  await bench.set('shop/a', [], names);
  expect(bench.told('shop/a')).toEqual(['10.0.0.1', '10.0.0.2']);
  bench.records.set('_http._tcp.x', records('b', 'c'));
  await bench.again();
  expect(bench.told('shop/a')).toEqual(['10.0.0.2', '10.0.0.3']);
  expect(bench.observer.describe().map(({ name }) => name)).toEqual(['_http._tcp.x', 'b.', 'c.']);
});

test('troubles name the backend, and end', async () => {
  const bench = new Bench();
  await bench.set('shop/a', ['nowhere']);
  expect(bench.told('shop/a')).toEqual([]);
  expect(bench.troubles).toEqual([[{ id: 'backend/shop/a', message: 'DNS name nowhere does not exist' }]]);
  bench.answers.set('nowhere', found('10.0.0.1'));
  await bench.again();
  expect(bench.troubles.at(-1)).toEqual([]);
  expect(bench.told('shop/a')).toEqual(['10.0.0.1']);
});

test('nothing runs on when it is closed', async () => {
  const bench = new Bench();
  await bench.set('shop/a', ['nowhere']);
  bench.observed.close();
  expect(bench.timers).toBe(0);
});
