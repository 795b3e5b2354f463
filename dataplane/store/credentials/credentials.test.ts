/** Look-ups against a real SQLite store, which is slowed, stopped and brought back; time moves by hand except where something has to run. */
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { StageCounters } from '../../telemetry/stage-counters.ts';
import { AWAY, type CredentialLimits, Credentials } from './credentials.ts';
import { openCredentialStore } from './open.ts';
import { RecordCache } from './record-cache.ts';
import type { CredentialStore } from './store.ts';
import { StoreError } from './store-error.ts';

const HASH = '$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW';
const key = (text: string) => createHash('sha256').update(text).digest('hex');
const ONE = key('one');

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

/** Poll and rest so short that tests needn't wait. */
const QUICK = { pollMs: 5, restMs: 5, timeoutMs: 2_000 };

async function scene(limits: Partial<CredentialLimits> = {}) {
  const store = await openCredentialStore({ kind: 'sqlite', path: ':memory:' }, 1_000);
  await store.migrate();
  await store.addConsumer('acme', ['gold']);
  await store.addKey('acme', ONE, '');
  await store.setPassword('acme', HASH);
  const clock = { ms: 0 };
  const link = { up: true, reads: 0, hold: null as Promise<void> | null };
  const ask = async <T>(answer: () => Promise<T>): Promise<T> => {
    link.reads++;
    if (!link.up) throw new StoreError('STORE_UNAVAILABLE', 'unplugged');
    const read = await answer();
    await link.hold;
    return read;
  };
  const linked: CredentialStore = {
    ...store,
    migrate: async () => [],
    findKey: (hash) => ask(() => store.findKey(hash)),
    findPassword: (consumer) => ask(() => store.findPassword(consumer)),
    changesAfter: async (sequence) => {
      if (!link.up) throw new StoreError('STORE_UNAVAILABLE', 'unplugged');
      return store.changesAfter(sequence);
    },
    close: async () => {},
  };
  const counters = new StageCounters();
  const credentials = new Credentials({
    address: 'sqlite:test',
    open: async () => linked,
    counter: (name, labels) => counters.counter(name, labels),
    limits: { ...QUICK, ...limits },
    now: () => clock.ms,
  });
  const troubles: (string | null)[] = [];
  const unwatch = credentials.watch((trouble) => troubles.push(trouble));
  closing.push(async () => {
    await credentials.close();
    await store.close();
  });
  const count = (outcome: string) => counters.counter('credential_reads', { outcome }).value;
  // Two polls have ended: one may have begun before what the test did.
  const polled = async () => {
    for (const from = count('ok'), until = from + 2; count('ok') < until; ) await sleep(2);
  };
  return { store, credentials, clock, link, troubles, count, polled, unwatch };
}

test('a key and a password that are known are answered without waiting, until they change', async () => {
  const { store, credentials, link, polled } = await scene();
  await polled();
  expect(await credentials.key(ONE)).toEqual({ name: 'acme', groups: ['gold'] });
  expect(credentials.key(ONE)).toEqual({ name: 'acme', groups: ['gold'] });
  expect(await credentials.password('acme')).toMatchObject({ hash: HASH });
  expect(credentials.password('acme')).toMatchObject({ hash: HASH });
  const { reads } = link;
  await store.setGroups('acme', ['silver']);
  await polled();
  expect(await credentials.key(ONE)).toEqual({ name: 'acme', groups: ['silver'] });
  await store.revokeKey(ONE);
  await store.removePassword('acme');
  await polled();
  expect(await credentials.key(ONE)).toBeNull();
  expect(await credentials.password('acme')).toBeNull();
  expect(link.reads).toBe(reads + 3);
});

test('what is not there is not looked for again, until it is added or its time is over', async () => {
  const { store, credentials, clock, link, polled } = await scene({ unknownMs: 1_000 });
  await polled();
  expect(await credentials.key(key('two'))).toBeNull();
  expect(credentials.key(key('two'))).toBeNull();
  await store.addKey('acme', key('two'), '');
  await polled();
  expect(await credentials.key(key('two'))).toMatchObject({ name: 'acme' });
  const { reads } = link;
  expect(await credentials.key(key('three'))).toBeNull();
  clock.ms += 1_001;
  expect(await credentials.key(key('three'))).toBeNull();
  expect(link.reads).toBe(reads + 2);
});

test('many that ask for one at once are one question', async () => {
  const { credentials, link, polled } = await scene();
  await polled();
  const { reads } = link;
  const answers = await Promise.all(Array.from({ length: 100 }, () => credentials.key(ONE)));
  expect(new Set(answers).size).toBe(1);
  expect(link.reads).toBe(reads + 1);
});

test('a read that began before a revocation and ends after the news of it is not kept', async () => {
  const { store, credentials, link, polled } = await scene();
  await polled();
  let go = () => {};
  link.hold = new Promise((resolve) => {
    go = resolve;
  });
  const early = credentials.key(ONE);
  await sleep(1);
  await store.revokeKey(ONE);
  await polled();
  go();
  expect(await early).toMatchObject({ name: 'acme' });
  expect(await credentials.key(ONE)).toBeNull();
});

test('a log that was emptied, or another database, makes everything be read again', async () => {
  const { store, credentials, link, polled } = await scene();
  await polled();
  await credentials.key(ONE);
  for (let i = 0; i < 1_001; i++) await store.setGroups('acme', [`g${i % 3}`]);
  await polled();
  const { reads } = link;
  expect(await credentials.key(ONE)).toMatchObject({ groups: ['g1'] });
  expect(link.reads).toBe(reads + 1);
});

describe('when the store is away', () => {
  test('what is known counts for its time, everything else is AWAY; it recovers by itself', async () => {
    const { credentials, clock, link, troubles, count, polled } = await scene({ staleForMs: 60_000 });
    await polled();
    await credentials.key(ONE);
    link.up = false;
    clock.ms += 59_000;
    expect(await credentials.key(key('two'))).toBe(AWAY);
    expect(await credentials.password('acme')).toBe(AWAY);
    expect(credentials.key(ONE)).toMatchObject({ name: 'acme' });
    while (troubles.length < 2) await sleep(2);
    expect(troubles).toEqual([
      null,
      'the credential store sqlite:test does not answer (unplugged): who is known counts for 60 s, others get 503',
    ]);
    clock.ms += 2_000;
    expect(await credentials.key(ONE)).toBe(AWAY);
    while (troubles.length < 3) await sleep(2);
    expect(troubles[2]).toMatch(
      /^the credential store sqlite:test does not answer .*: nobody with credentials of it is let in$/,
    );
    while (count('circuit-open') === 0) await sleep(2);

    link.up = true;
    while (troubles.length < 4) await sleep(2);
    expect(troubles[3]).toBeNull();
    expect(await credentials.key(ONE)).toMatchObject({ name: 'acme' });
    expect(credentials.key(ONE)).toMatchObject({ name: 'acme' });
  });

  test('a revocation of that time counts as soon as it is back', async () => {
    const { store, credentials, link, polled } = await scene();
    await polled();
    await credentials.key(ONE);
    link.up = false;
    await store.revokeKey(ONE);
    expect(credentials.key(ONE)).toMatchObject({ name: 'acme' });
    link.up = true;
    await polled();
    expect(await credentials.key(ONE)).toBeNull();
  });

  test('from the start, policies hear of it at once and nobody is let in', async () => {
    const { credentials, link, troubles, unwatch } = await scene();
    unwatch();
    link.up = false;
    const more: (string | null)[] = [];
    credentials.watch((trouble) => more.push(trouble));
    while (more.length < 2) await sleep(2);
    expect(more[1]).toContain('nobody with credentials of it is let in');
    expect(await credentials.key(ONE)).toBe(AWAY);
    expect(troubles).toEqual([null]);
  });

  test('no question waits longer than told, and so many wait at most', async () => {
    const { credentials, link, count, polled } = await scene({ timeoutMs: 50, maxInFlight: 3 });
    await polled();
    link.hold = new Promise(() => {});
    const asked = [1, 2, 3, 4, 5].map((i) => credentials.key(key(String(i))));
    expect(await Promise.all(asked)).toEqual([AWAY, AWAY, AWAY, AWAY, AWAY]);
    expect(count('overloaded')).toBeGreaterThanOrEqual(2);
  });
});

test('nobody watches, nobody asks; who comes back trusts nothing of before', async () => {
  const { store, credentials, link, count, polled, unwatch } = await scene();
  await polled();
  await credentials.key(ONE);
  unwatch();
  await sleep(20);
  const asked = count('ok');
  await sleep(30);
  expect(count('ok')).toBe(asked);
  await store.revokeKey(ONE);
  credentials.watch(() => {});
  const { reads } = link;
  expect(await credentials.key(ONE)).toBeNull();
  expect(link.reads).toBe(reads + 1);
});

test('the cache keeps its bounds, and guesses throw out only guesses', () => {
  const cache = new RecordCache({ maxKnown: 3, maxUnknown: 2, unknownMs: 10 });
  for (const name of ['a', 'b', 'c']) cache.set(name, { name, groups: [] }, 0);
  for (let i = 0; i < 100; i++) cache.set(`guess ${i}`, null, 0);
  expect(cache.size).toBe(5);
  expect(cache.known('a')).toBeDefined();
  expect(cache.isUnknown('guess 99', 9)).toBe(true);
  expect(cache.isUnknown('guess 99', 10)).toBe(false);
  cache.set('d', { name: 'd', groups: [] }, 0);
  expect([cache.known('a'), cache.known('d')]).toEqual([undefined, { name: 'd', groups: [] }]);
});
