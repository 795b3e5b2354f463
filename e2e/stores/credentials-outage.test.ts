/** What a worker does when the MariaDB of its credential store is slow, dead and back, and how fast a revocation counts. */
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { AWAY, CREDENTIAL_LIMITS, Credentials } from '../../dataplane/store/credentials/credentials.ts';
import { readStoreLocation } from '../../dataplane/store/credentials/location.ts';
import { openCredentialStore } from '../../dataplane/store/credentials/open.ts';
import type { CredentialStore } from '../../dataplane/store/credentials/store.ts';
import { StageCounters } from '../../dataplane/telemetry/stage-counters.ts';
import { describeWith } from '../components/in-tests.ts';
import { startMariaDbProcess } from '../components/mariadb.ts';

const key = (text: string) => createHash('sha256').update(text).digest('hex');
const HASH = '$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW';
/** Enough for a loaded machine: asserted is that nothing waits for ever. */
const SLACK_MS = 3_000;

describeWith(await startMariaDbProcess(), 'the credential store on MariaDB', (server) => {
  const location = readStoreLocation(server.url);
  if (location === null) throw new Error('not a MySQL URL');
  let store: CredentialStore;
  const troubles: (string | null)[] = [];
  const counters = new StageCounters();
  const credentials = new Credentials({
    address: 'mysql://test',
    open: () => openCredentialStore(location, CREDENTIAL_LIMITS.timeoutMs),
    counter: (name, labels) => counters.counter(name, labels),
    limits: { staleForMs: 6_000 },
  });
  const trouble = async (wanted: RegExp | null) => {
    for (;;) {
      const last = troubles.at(-1) ?? null;
      if (wanted === null ? last === null : wanted.test(last ?? '')) return;
      await sleep(20);
    }
  };
  const longest = async (asked: () => unknown) => {
    const startedAt = performance.now();
    const found = await asked();
    expect(performance.now() - startedAt).toBeLessThan(CREDENTIAL_LIMITS.timeoutMs + SLACK_MS);
    return found;
  };

  beforeAll(async () => {
    store = await openCredentialStore(location, 20_000);
    await store.migrate();
    await store.addConsumer('acme', ['gold']);
    for (const name of ['kept', 'revoked', 'revoked while away']) await store.addKey('acme', key(name), name);
    await store.setPassword('acme', HASH);
    credentials.watch((said) => troubles.push(said));
  });
  afterAll(async () => {
    await credentials.close();
    await store.close();
  });

  test('a revocation counts, and what is added does', async () => {
    while ((await credentials.key(key('revoked'))) === AWAY) await sleep(20);
    expect(await credentials.key(key('revoked'))).toMatchObject({ name: 'acme', groups: ['gold'] });
    expect(await credentials.key(key('new'))).toBeNull();
    const startedAt = performance.now();
    await store.revokeKey(key('revoked'));
    await store.addKey('acme', key('new'), '');
    while ((await credentials.key(key('revoked'))) !== null) await sleep(5);
    console.log(`revoked after ${Math.round(performance.now() - startedAt)} ms`);
    while ((await credentials.key(key('new'))) === null) await sleep(5);
  });

  test.each(['pause', 'kill'] as const)(
    '%s: what is known counts for its time, the rest is AWAY; then it is back',
    async (harm) => {
      const held = () => credentials.key(key('kept'));
      while ((await held()) === AWAY || held() instanceof Promise) await sleep(20);
      await credentials.key(key('revoked while away'));
      await server[harm]();
      expect(held()).toMatchObject({ name: 'acme' });
      expect(await longest(() => credentials.key(key(`unknown ${harm}`)))).toBe(AWAY);
      expect(await longest(() => credentials.password(`unknown ${harm}`))).toBe(AWAY);
      await trouble(/does not answer .*: who is known counts for 6 s, others get 503$/);
      expect(held()).toMatchObject({ name: 'acme' });
      await trouble(/nobody with credentials of it is let in$/);
      expect(await longest(held)).toBe(AWAY);

      if (harm === 'pause') server.resume();
      else await server.restart();
      await trouble(null);
      expect(await held()).toMatchObject({ name: 'acme', groups: ['gold'] });
      expect(held()).toMatchObject({ name: 'acme' });
      expect(await credentials.key(key(`unknown ${harm}`))).toBeNull();
    },
  );

  test('what was revoked while nobody could ask is refused as soon as the log is read again', async () => {
    const held = () => credentials.key(key('revoked while away'));
    while ((await held()) === AWAY || held() instanceof Promise) await sleep(20);
    await server.kill();
    await server.restart();
    const writer = await openCredentialStore(location, 20_000);
    await writer.revokeKey(key('revoked while away'));
    await writer.close();
    while ((await held()) !== null) await sleep(5);
  });
});
