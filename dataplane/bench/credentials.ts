/**
 * API keys and passwords of 10,000 consumers, ns and garbage a request: `node --conditions=source dataplane/bench/credentials.ts`.
 * And what a new password costs, off the loop.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Exchange } from '../pipeline/exchange.ts';
import { Headers } from '../pipeline/headers.ts';
import { MemoryDownstream } from '../pipeline/memory-downstream.ts';
import type { CredentialsResource } from '../snapshot/credentials.ts';
import { authenticationSection } from '../snapshot/sections/authentication.ts';
import { loadMethods } from '../stages/authentication/methods.ts';
import { createAuthentication } from '../stages/authentication/stage.ts';
import { contextFixture } from '../stages/context.fixture.ts';
import { Credentials } from '../store/credentials/credentials.ts';
import { hashPassword } from '../store/credentials/hash-password.ts';
import { hashOfKey, newKey } from '../store/credentials/new-key.ts';
import { openCredentialStore } from '../store/credentials/open.ts';
import { measure, report } from './measure.ts';

const CONSUMERS = 10_000;
const BATCH = 256;
const BATCHES = 600;
const NEW_PASSWORDS = 40;

const downstream = new MemoryDownstream();

/** A header value as the parser makes it: a string of its own each time. */
function exchangeWith(name: string, value: string): Exchange {
  const own = Buffer.from(value).toString('latin1');
  const headers = new Headers(['host', 'x', 'user-agent', 'bench/1.0', 'accept', '*/*', name, own]);
  return new Exchange('GET', '/', undefined, 'x', 'x', 'http', 'HTTP/1.1', headers, '192.0.2.7', downstream, 0);
}

await loadMethods(['apiKey', 'basic']);

const names = Array.from({ length: CONSUMERS }, (_, i) => `consumer-${i}`);
const keys = names.map(() => newKey());
const basic = (i: number) => `Basic ${Buffer.from(`${names[i]}:correct horse`).toString('base64')}`;
/** One hash for all: what is measured is the warm path. */
const hash = await hashPassword('correct horse', 'argon2id');

const apiKeys: CredentialsResource = {
  kind: 'credentials',
  id: 'credentials/bench/b/keys/apiKey',
  source: 'bench/keys',
  entries: {
    type: 'apiKey',
    keys: keys.map((key, i) => ({ hash: hashOfKey(key), consumer: names[i] as string, groups: ['gold'] })),
  },
};
const users: CredentialsResource = {
  kind: 'credentials',
  id: 'credentials/bench/b/users/basic',
  source: 'bench/users',
  entries: { type: 'basic', users: names.map((consumer) => ({ hash, consumer, groups: ['gold'] })) },
};

const store = await openCredentialStore({ kind: 'sqlite', path: ':memory:' }, 1_000);
await store.migrate();
for (const [i, key] of keys.entries()) {
  await store.addConsumer(names[i] as string, ['gold']);
  await store.addKey(names[i] as string, hashOfKey(key), '');
}
const credentials = new Credentials({
  address: 'sqlite:bench',
  open: async () => store,
  counter: () => ({ value: 0 }),
});
const context = contextFixture({ consumers: [apiKeys, users] });
const services = { ...context.services, credentials };

function stageFor(method: object) {
  const config = authenticationSection.parse({ section: 'authentication', methods: [method], anyOf: [['m']] });
  const { onRequest } = createAuthentication(config, { ...context, services });
  if (onRequest === undefined) throw new Error('a stage without a handler');
  return onRequest;
}

const key = { kind: 'apiKey', name: 'm', from: [{ in: 'header', name: 'x-api-key' }] };
const ofSecrets = stageFor({ ...key, credentials: [apiKeys.id] });
const ofStore = stageFor({ ...key, credentials: [], store: true });
const passwords = stageFor({ kind: 'basic', name: 'm', realm: 'bench', credentials: [users.id] });

/** Every request another consumer, as a cache that only helps a few would not show. */
async function known(
  name: string,
  onRequest: typeof ofSecrets,
  field: string,
  credentialOf: (i: number) => string,
  count: number,
) {
  for (let i = 0; i < count; i++) {
    if ((await onRequest(exchangeWith(field, credentialOf(i)))) !== undefined) throw new Error(`${name}: refused`);
  }
  let at = 0;
  let made: Exchange[] = [];
  const prepare = () => {
    made = Array.from({ length: BATCH }, () => exchangeWith(field, credentialOf(at++ % count)));
  };
  report(
    name,
    measure((i) => onRequest(made[i] as Exchange), BATCH, BATCHES, prepare),
  );
}

console.log(`${CONSUMERS} consumers; the whole stage: found, named to the backend, taken out of the request`);
await known('API key of a Secret', ofSecrets, 'x-api-key', (i) => keys[i] as string, CONSUMERS);
// Its records are kept once the log was read.
await new Promise((resolve) => setTimeout(resolve, 200));
await known('API key of the store, known', ofStore, 'x-api-key', (i) => keys[i] as string, CONSUMERS);

const delay = monitorEventLoopDelay({ resolution: 1 });
delay.enable();
const startedAt = performance.now();
const before = process.cpuUsage();
for (let i = 0; i < NEW_PASSWORDS; i++) await passwords(exchangeWith('authorization', basic(i)));
const each = (performance.now() - startedAt) / NEW_PASSWORDS;
const { user, system } = process.cpuUsage(before);
delay.disable();
const cpu = (user + system) / NEW_PASSWORDS / 1_000;
console.log(
  `a new password (argon2id, 19 MiB): ${each.toFixed(1)} ms, ${cpu.toFixed(1)} ms of CPU in Node's thread pool; longest delay of the loop meanwhile ${(delay.max / 1e6).toFixed(1)} ms`,
);
await known('Basic, known', passwords, 'authorization', basic, NEW_PASSWORDS);
await credentials.close();
