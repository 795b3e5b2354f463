/**
 * ns and garbage a request for a token that is known, and what a new one costs: `node --conditions=source dataplane/bench/tokens.ts`.
 * A new token's time is wall-clock for one after the other (latency) and for many at a time (throughput); the loop's share is what other
 * requests wait for.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Exchange } from '../pipeline/exchange.ts';
import { Headers } from '../pipeline/headers.ts';
import { MemoryDownstream } from '../pipeline/memory-downstream.ts';
import { authenticationSection } from '../snapshot/sections/authentication.ts';
import { Issuer, type SigningKey, sign, signingKey } from '../stages/authentication/issuer.fixture.ts';
import { loadMethods } from '../stages/authentication/methods.ts';
import { createAuthentication } from '../stages/authentication/stage.ts';
import { contextFixture } from '../stages/context.fixture.ts';
import { measure, report } from './measure.ts';

const BATCH = 256;
const BATCHES = 600;
const TOKENS = 100;
const NEW_TOKENS = 2_000;

const downstream = new MemoryDownstream();

/** A header value as the parser makes it: a string of its own each time. */
function exchangeWith(token: string): Exchange {
  const value = Buffer.from(`Bearer ${token}`).toString('latin1');
  const headers = new Headers(['host', 'x', 'user-agent', 'bench/1.0', 'accept', '*/*', 'authorization', value]);
  return new Exchange('GET', '/', undefined, 'x', 'x', 'http', 'HTTP/1.1', headers, '192.0.2.7', downstream, 0);
}

await loadMethods(['jwt']);

function stageFor(key: SigningKey) {
  const config = authenticationSection.parse({
    section: 'authentication',
    methods: [
      {
        kind: 'jwt',
        name: 'token',
        from: [{ in: 'header', name: 'authorization', scheme: 'Bearer' }],
        keys: { source: 'inline', jwks: new Issuer(key).jwks },
        algorithms: [key.alg],
        issuers: ['https://issuer.test'],
        audiences: ['shop'],
        clockSkewMs: 0,
      },
    ],
    anyOf: [['token']],
  });
  const { onRequest } = createAuthentication(config, contextFixture({ epochMs: Date.now }));
  if (onRequest === undefined) throw new Error('a stage without a handler');
  return onRequest;
}

for (const alg of ['RS256', 'ES256', 'EdDSA']) {
  const key = await signingKey('k1', alg);
  const onRequest = stageFor(key);
  const tokens = await Promise.all(
    Array.from({ length: TOKENS }, (_, i) => sign(key, { sub: `user-${i}`, scope: 'a b' })),
  );
  for (const token of tokens) if ((await onRequest(exchangeWith(token))) !== undefined) throw new Error('refused');
  let made: Exchange[] = [];
  const prepare = () => {
    made = Array.from({ length: BATCH }, (_, i) => exchangeWith(tokens[i % TOKENS] as string));
  };
  report(
    `${alg}, ${TOKENS} known tokens, the whole stage`,
    measure((i) => onRequest(made[i] as Exchange), BATCH, BATCHES, prepare),
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
