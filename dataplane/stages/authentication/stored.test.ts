/** API keys and passwords of a real (SQLite) credential store, through the section that asks for them. */
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Answer } from '../../pipeline/exchange.ts';
import { memoryExchange } from '../../pipeline/memory-downstream.ts';
import { authenticationSection } from '../../snapshot/sections/authentication.ts';
import { Credentials } from '../../store/credentials/credentials.ts';
import { openCredentialStore } from '../../store/credentials/open.ts';
import type { CredentialStore } from '../../store/credentials/store.ts';
import { StageCounters } from '../../telemetry/stage-counters.ts';
import { contextFixture } from '../context.fixture.ts';
import { loadMethods } from './methods.ts';
import { createAuthentication } from './stage.ts';

const KEY = 'tgk_a-key-of-the-store';
/** U*U. */
const HASH = '$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW';
const BASIC = `Basic ${Buffer.from('ada:U*U').toString('base64')}`;
const hash = (key: string) => createHash('sha256').update(key).digest('hex');

let store: CredentialStore;
let credentials: Credentials;
const base = contextFixture();

beforeAll(async () => {
  await loadMethods(['apiKey', 'basic']);
  store = await openCredentialStore({ kind: 'sqlite', path: ':memory:' }, 1_000);
  credentials = new Credentials({
    address: 'sqlite:test',
    open: async () => store,
    counter: (name, labels) => new StageCounters().counter(name, labels),
    limits: { pollMs: 5 },
  });
  await store.migrate();
  await store.addConsumer('ada', ['staff']);
  await store.addKey('ada', hash(KEY), '');
  await store.setPassword('ada', HASH);
});
afterAll(async () => {
  await credentials.close();
  await base.services.passwords.close();
});

const METHODS = [
  { kind: 'apiKey', name: 'key', from: [{ in: 'header', name: 'x-api-key' }], credentials: [], store: true },
  { kind: 'basic', name: 'site', realm: 'shop', credentials: [], store: true },
];

function stageWith(services: object = { credentials }) {
  const config = authenticationSection.parse({
    section: 'authentication',
    methods: METHODS,
    anyOf: [['key'], ['site']],
  });
  const context = contextFixture({ services: { ...base.services, ...services } });
  return { stage: createAuthentication(config, context), context };
}

async function ask(fields: string[], { stage } = stageWith()) {
  const exchange = memoryExchange('GET /', { fields: [...fields] });
  const outcome = stage.onRequest?.(exchange);
  const answer = (await outcome) as Answer | undefined;
  return { waited: outcome instanceof Promise, code: answer?.code ?? '', status: answer?.status, exchange };
}

describe.each([
  ['a key', ['x-api-key', KEY]],
  ['a password', ['authorization', BASIC]],
])('%s of the store', (_name, fields) => {
  test('names its consumer, and waits for nothing once it is known', async () => {
    const made = stageWith();
    while ((await ask(fields, made)).waited) await sleep(2);
    const { waited, code, exchange } = await ask(fields, made);
    expect({ waited, code }).toEqual({ waited: false, code: '' });
    expect(exchange.identity).toMatchObject({ consumer: 'ada', groups: ['staff'] });
    made.stage.close?.();
  });
});

test('what the store does not hold is refused', async () => {
  const made = stageWith();
  expect(await ask(['x-api-key', 'another-key-of-nobody'], made)).toMatchObject({
    status: 401,
    code: 'api-key-unknown',
  });
  const eve = `Basic ${Buffer.from('eve:U*U').toString('base64')}`;
  expect(await ask(['authorization', eve], made)).toMatchObject({ status: 401, code: 'basic-unknown' });
  made.stage.close?.();
});

test('a password that is changed, or revoked, no longer counts', async () => {
  const made = stageWith();
  await ask(['authorization', BASIC], made);
  await store.setPassword('ada', HASH.replace('CCC.E5', 'CCC.VG'));
  while ((await ask(['authorization', BASIC], made)).code === '') await sleep(2);
  await store.removePassword('ada');
  expect(await ask(['authorization', BASIC], made)).toMatchObject({ status: 401, code: 'basic-unknown' });
  await store.setPassword('ada', HASH);
  while ((await ask(['authorization', BASIC], made)).code !== '') await sleep(2);
  made.stage.close?.();
});

test('without a store the section can’t be built, and says what to set', () => {
  expect(() => stageWith({ credentials: null })).toThrow(
    'methods[0].store: this data plane has no credential store: set TIDEGATE_CREDENTIALS',
  );
});

test('a store that is away is 503, and in the status of the policy', async () => {
  const away = new Credentials({
    address: 'mysql://db:3306/tidegate',
    open: async () => Promise.reject(new Error('unplugged')),
    counter: (name, labels) => new StageCounters().counter(name, labels),
  });
  const made = stageWith({ credentials: away });
  expect(await ask(['x-api-key', KEY], made)).toMatchObject({ status: 503, code: 'credentials-unavailable' });
  expect(await ask(['authorization', BASIC], made)).toMatchObject({ status: 503, code: 'credentials-unavailable' });
  while (made.context.said.trouble === null) await sleep(2);
  expect(made.context.said.trouble).toContain('mysql://db:3306/tidegate does not answer (unplugged)');
  made.stage.close?.();
  await away.close();
});
