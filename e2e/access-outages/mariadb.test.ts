/** MariaDB, which holds the credential store, stops, is killed, is silent: who is known is let in, all others get 503 in time, and it recovers. */
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CREDENTIAL_LIMITS } from '../../dataplane/store/credentials/credentials.ts';
import { readStoreLocation } from '../../dataplane/store/credentials/location.ts';
import { openCredentialStore } from '../../dataplane/store/credentials/open.ts';
import { describeWith } from '../components/in-tests.ts';
import { startMariaDbProcess } from '../components/mariadb.ts';
import { HARMS, OUTAGE_TIMEOUT_MS, runOutage, statuses } from './outage.ts';
import { protectedRoute, type Scene, startScene } from './scene.ts';

const FRESH_KEYS = 10_000;
const keyOf = (name: string) => `key-of-acme-${name}-0123456789`;
const hashOf = (key: string) => createHash('sha256').update(key).digest('hex');

describeWith(await startMariaDbProcess(), 'credentials while MariaDB is away', (mariadb) => {
  let scene: Scene;
  let serial = 0;
  beforeAll(async () => {
    const location = readStoreLocation(mariadb.url);
    if (location === null) throw new Error('not the URL of a credential store');
    const store = await openCredentialStore(location, 20_000);
    await store.migrate();
    await store.addConsumer('acme', ['gold']);
    await store.addKey('acme', hashOf(keyOf('known')), 'known');
    await store.close();
    scene = await startScene({
      yaml: protectedRoute('keys', 'authentication:\n  methods: [{ name: key, apiKey: { store: true } }]'),
      env: { TIDEGATE_CREDENTIALS: mariadb.url, TIDEGATE_CREDENTIALS_STALE_FOR_MS: '600000' },
      // Each worker knows for itself.
      workers: 1,
    });
  });
  afterAll(() => scene?.stop());

  test.each(HARMS)('%s', { timeout: OUTAGE_TIMEOUT_MS }, async (harm) => {
    const { before, harmed, after, all } = await runOutage({
      scene,
      component: mariadb,
      harm,
      asked: [
        { name: 'known', path: '/keys', headers: () => ({ 'x-api-key': keyOf('known') }) },
        // Never the same: each has to be looked up.
        { name: 'unknown', path: '/keys', headers: () => ({ 'x-api-key': keyOf(`fresh-${serial++ % FRESH_KEYS}`) }) },
        { name: 'anonymous', path: '/keys' },
      ],
      timeoutMs: CREDENTIAL_LIMITS.timeoutMs,
      policy: 'keys',
      says: /does not answer .*: who is known counts for 600 s, others get 503/,
    });

    for (const samples of [before, after]) {
      expect(statuses(samples('known'))).toEqual([200]);
      expect(statuses(samples('unknown'))).toEqual([401]);
    }
    expect(statuses(harmed('known'))).toEqual([200]);
    // Neither let in nor told that they are wrong: nobody can tell.
    expect(statuses(harmed('unknown'))).toEqual([503]);
    expect(new Set(harmed('unknown').map(({ code }) => code))).toEqual(new Set(['credentials-unavailable']));
    expect(statuses(all.filter(({ name }) => name === 'anonymous'))).toEqual([401]);
  });
});
