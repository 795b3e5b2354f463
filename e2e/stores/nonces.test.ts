/** Nonces of signed requests that all data planes share in a real Redis, which is paused and comes back. */
import { createHmac } from 'node:crypto';
import { afterEach, expect, test } from 'vitest';
import { memoryExchange } from '../../dataplane/pipeline/memory-downstream.ts';
import { credentialsResource } from '../../dataplane/snapshot/credentials.ts';
import { signatureMethod } from '../../dataplane/snapshot/sections/authentication/signature.ts';
import { create } from '../../dataplane/stages/authentication/signature.ts';
import { contextFixture } from '../../dataplane/stages/context.fixture.ts';
import { Redis } from '../../dataplane/store/redis/redis.ts';
import { describeWith } from '../components/in-tests.ts';
import { startRedisProcess } from '../components/redis.ts';

const SECRET = Buffer.alloc(32, 7);
const ID = 'credentials/a/b/c/signature';
const clients: Redis[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) await client.close();
});

/** One data plane's. */
async function method(url: string) {
  const redis = new Redis({ url, counter: () => ({ value: 0 }) });
  clients.push(redis);
  redis.open();
  await redis.attempted();
  const config = signatureMethod.parse({
    ...{ kind: 'signature', name: 's', credentials: [ID], components: [], maxBodyBytes: 0 },
    ...{ maxAgeMs: 60_000, skewMs: 1_000, nonce: 'required', nonceStore: 'redis' },
  });
  const keys = [{ keyId: 'h', algorithm: 'hmac-sha256', key: SECRET.toString('base64'), consumer: 'acme' }];
  const entries = { type: 'signature', keys };
  const consumers = [credentialsResource.parse({ kind: 'credentials', id: ID, source: 'a/c', entries })];
  const plain = contextFixture({ consumers, epochMs: Date.now });
  return create(config, { ...plain, services: { ...plain.services, redis } }, 'methods[0]');
}

function signed(nonce: string) {
  const parameters = `();created=${Math.floor(Date.now() / 1000)};keyid="h";nonce="${nonce}"`;
  const value = createHmac('sha256', SECRET).update(`"@signature-params": ${parameters}`).digest('base64');
  return memoryExchange('GET /', { fields: ['signature-input', `s=${parameters}`, 'signature', `s=:${value}:`] });
}

describeWith(await startRedisProcess(), 'nonces in Redis', (server) => {
  test('are accepted once by all data planes together', async () => {
    const [one, other] = [await method(server.url), await method(server.url)];
    expect((await one.find(signed('n1'))).kind).toBe('vouched');
    expect(await other.find(signed('n1'))).toMatchObject({ kind: 'refused', code: 'signature-replayed' });
    expect(await one.find(signed('n1'))).toMatchObject({ kind: 'refused', code: 'signature-replayed' });
    expect((await other.find(signed('n2'))).kind).toBe('vouched');
    const racing = await Promise.all([one, other, one, other].map((each) => each.find(signed('n3'))));
    expect(racing.filter(({ kind }) => kind === 'vouched')).toHaveLength(1);
  });

  test('nobody passes while it does not answer, and it is used again when it does', async () => {
    const living = await method(server.url);
    expect((await living.find(signed('m1'))).kind).toBe('vouched');
    await server.pause();
    for (let i = 0; i < 3; i++) {
      expect(await living.find(signed(`p${i}`))).toMatchObject({
        kind: 'unavailable',
        code: 'signature-store-unavailable',
      });
    }
    server.resume();
    for (let i = 0; ; i++) {
      if ((await living.find(signed(`q${i}`))).kind === 'vouched') break;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    expect(await living.find(signed('m1'))).toMatchObject({ code: 'signature-replayed' });
  });
});
