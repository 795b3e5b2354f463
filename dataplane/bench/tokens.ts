/**
 * ns and garbage a request for a token that is known, and what a new one costs: `node --conditions=source dataplane/bench/tokens.ts`.
 * A new token's time is wall-clock for one after the other (latency) and for many at a time (throughput); the loop's share is what other
 * requests wait for.
 */
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Stage } from '../pipeline/chain.ts';
import { Exchange } from '../pipeline/exchange.ts';
import { Headers } from '../pipeline/headers.ts';
import { MemoryDownstream } from '../pipeline/memory-downstream.ts';
import { authenticationSection } from '../snapshot/sections/authentication.ts';
import { Issuer, type SigningKey, sign, signingKey } from '../stages/authentication/issuer.fixture.ts';
import { loadMethods } from '../stages/authentication/methods.ts';
import { Sealer } from '../stages/authentication/oidc/sealer.ts';
import { createAuthentication } from '../stages/authentication/stage.ts';
import { contextFixture } from '../stages/context.fixture.ts';
import { Secret } from '../stages/secret.ts';
import { measure, report } from './measure.ts';

const BATCH = 256;
const BATCHES = 600;
const TOKENS = 100;
const BEARER_PLACE = [{ in: 'header', name: 'authorization', scheme: 'Bearer' }];
const NEW_TOKENS = 2_000;

const downstream = new MemoryDownstream();

/** A header value as the parser makes it: a string of its own each time. */
function exchangeWith(token: string, name = 'authorization', prefix = 'Bearer '): Exchange {
  const value = Buffer.from(prefix + token).toString('latin1');
  const headers = new Headers(['host', 'x', 'user-agent', 'bench/1.0', 'accept', '*/*', name, value]);
  return new Exchange('GET', '/', undefined, 'x', 'x', 'http', 'HTTP/1.1', headers, '192.0.2.7', downstream, 0);
}

await loadMethods(['jwt', 'introspection', 'oidc']);

type OnRequest = NonNullable<Stage['onRequest']>;

function stageOf(method: object, secrets: Record<string, string> = {}): OnRequest {
  const config = authenticationSection.parse({
    section: 'authentication',
    methods: [{ name: 'token', ...method }],
    anyOf: [['token']],
  });
  const { onRequest } = createAuthentication(config, contextFixture({ epochMs: Date.now, secrets }));
  if (onRequest === undefined) throw new Error('a stage without a handler');
  return onRequest;
}

/** What is known costs: after all of them were there once. */
async function known(name: string, onRequest: OnRequest, exchanges: readonly (() => Exchange)[]): Promise<void> {
  for (const exchange of exchanges)
    if ((await onRequest(exchange())) !== undefined) throw new Error(`${name}: refused`);
  let made: Exchange[] = [];
  const prepare = () => {
    made = Array.from({ length: BATCH }, (_, i) => (exchanges[i % exchanges.length] as () => Exchange)());
  };
  report(
    name,
    measure((i) => onRequest(made[i] as Exchange), BATCH, BATCHES, prepare),
  );
}

function jwtStage(key: SigningKey): OnRequest {
  return stageOf({
    kind: 'jwt',
    from: BEARER_PLACE,
    clockSkewMs: 0,
    keys: { source: 'inline', jwks: new Issuer(key).jwks },
    algorithms: [key.alg],
    issuers: ['https://issuer.test'],
    audiences: ['shop'],
  });
}

for (const alg of ['RS256', 'ES256', 'EdDSA']) {
  const key = await signingKey('k1', alg);
  const onRequest = jwtStage(key);
  const tokens = await Promise.all(
    Array.from({ length: TOKENS }, (_, i) => sign(key, { sub: `user-${i}`, scope: 'a b' })),
  );
  await known(
    `${alg}, ${TOKENS} known tokens, the whole stage`,
    onRequest,
    tokens.map((token) => () => exchangeWith(token)),
  );

  const fresh = await Promise.all(Array.from({ length: NEW_TOKENS }, (_, i) => sign(key, { sub: `new-${i}` })));
  const half = NEW_TOKENS / 2;
  let start = performance.now();
  let before = process.cpuUsage();
  for (const token of fresh.slice(0, half)) await onRequest(exchangeWith(token));
  const latency = ((performance.now() - start) / half) * 1000;
  let cpu = process.cpuUsage(before);
  const each = (cpu.user + cpu.system) / half;
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  start = performance.now();
  before = process.cpuUsage();
  await Promise.all(fresh.slice(half).map((token) => onRequest(exchangeWith(token))));
  const throughput = ((performance.now() - start) / half) * 1000;
  delay.disable();
  cpu = process.cpuUsage(before);
  console.log(
    `${`${alg}, a new token`.padEnd(48)} one by one ${latency.toFixed(0)} µs (${each.toFixed(0)} µs CPU)   ` +
      `many ${throughput.toFixed(0)} µs (${((cpu.user + cpu.system) / half).toFixed(0)} µs CPU)   ` +
      `loop delay p99 ${(delay.percentile(99) / 1e6).toFixed(1)} ms`,
  );
}

const client = { id: 'bench', secret: 'secret/a/b/client/secret', authentication: 'basic' };
const secrets = { 'secret/a/b/client/secret': 's', 'secret/a/b/cookies/key': 'k'.repeat(32) };
const server = http.createServer((_request, response) => response.end('{"active":true,"sub":"alice","scope":"a b"}'));
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const { port } = server.address() as AddressInfo;
await known(
  `introspection, ${TOKENS} remembered tokens, the whole stage`,
  stageOf(
    {
      kind: 'introspection',
      from: BEARER_PLACE,
      url: `http://127.0.0.1:${port}/`,
      client,
      timeoutMs: 5_000,
      cacheMs: 3_600_000,
      inactiveCacheMs: 0,
    },
    secrets,
  ),
  Array.from({ length: TOKENS }, (_, i) => () => exchangeWith(`opaque-token-of-some-length-number-${i}`)),
);

// No provider is asked for a session that holds: there is none.
const issuer = `http://127.0.0.1:${port}`;
const sealer = new Sealer({
  secrets: [new Secret(Buffer.from(secrets['secret/a/b/cookies/key']))],
  purpose: `session shop bench ${issuer}`,
  epochMs: Date.now,
});
const untilMs = Date.now() + 3_600_000;
const cookies = await Promise.all(
  Array.from({ length: TOKENS }, (_, i) => {
    const claims = { sub: `user-${i}`, groups: ['staff', 'gold'] };
    const times = { issuedAtMs: Date.now(), tokensUntilMs: untilMs, endsAtMs: untilMs };
    return sealer.seal({ claims, refreshToken: 'r'.repeat(43), ...times }, untilMs);
  }),
);
await known(
  `login, ${TOKENS} known sessions in cookies, the whole stage`,
  stageOf(
    {
      kind: 'oidc',
      clockSkewMs: 0,
      issuer,
      client,
      scopes: ['openid'],
      callbackPath: '/callback',
      logoutPath: '/logout',
      afterLogoutPath: '/',
      session: { store: 'cookie', keys: ['secret/a/b/cookies/key'], cookieName: 'shop', maxAgeMs: 3_600_000 },
      timeoutMs: 1_000,
    },
    secrets,
  ),
  cookies.map((cookie) => () => exchangeWith(cookie, 'cookie', 'theme=dark; shop=')),
);
server.close();
server.closeAllConnections();
