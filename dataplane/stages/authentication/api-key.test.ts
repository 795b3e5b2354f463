/** API keys of Secrets, through the section that holds them. */
import { createHash } from 'node:crypto';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Answer } from '../../pipeline/exchange.ts';
import { memoryExchange } from '../../pipeline/memory-downstream.ts';
import type { CredentialsResource } from '../../snapshot/credentials.ts';
import { authenticationSection } from '../../snapshot/sections/authentication.ts';
import { contextFixture } from '../context.fixture.ts';
import { StageError } from '../stage-error.ts';
import { loadMethods } from './methods.ts';
import { createAuthentication } from './stage.ts';

beforeAll(() => loadMethods(['apiKey']));

function keys(secret: string, ...entries: [key: string, consumer: string, ...groups: string[]][]): CredentialsResource {
  return {
    kind: 'credentials',
    id: `credentials/shop/keys/${secret}/apiKey`,
    source: `shop/${secret}`,
    entries: {
      type: 'apiKey',
      keys: entries.map(([key, consumer, ...groups]) => ({
        hash: createHash('sha256').update(key).digest('hex'),
        consumer,
        groups,
      })),
    },
  };
}

const PARTNERS = keys(
  'partners',
  ['acme-key-0123456789', 'acme', 'gold'],
  ['acme-key-next-one!!', 'acme', 'gold'],
  ['umbrella-key-012345', 'umbrella'],
);

function section(consumers: readonly CredentialsResource[], more: object = {}) {
  const method = {
    kind: 'apiKey',
    name: 'key',
    from: [{ in: 'header', name: 'x-api-key' }],
    credentials: consumers.map(({ id }) => id),
    ...more,
  };
  return authenticationSection.parse({ section: 'authentication', methods: [method], anyOf: [['key']] });
}

function ask(fields: string[], consumers = [PARTNERS], more: object = {}, line = 'GET /') {
  const stage = createAuthentication(section(consumers, more), contextFixture({ consumers }));
  const exchange = memoryExchange(line, { fields });
  return { answer: stage.onRequest?.(exchange) as Answer | undefined, exchange };
}

describe('a key that is known', () => {
  test('names its consumer, also while it is being replaced; the backend gets the name and not the key', () => {
    for (const key of ['acme-key-0123456789', 'acme-key-next-one!!']) {
      const { answer, exchange } = ask(['x-api-key', key, 'x-consumer', 'somebody else', 'x-consumer-groups', 'root']);
      expect(answer).toBeUndefined();
      expect(exchange.identity).toMatchObject({ consumer: 'acme', groups: ['gold'], method: 'key' });
      expect(exchange.headers.fields).toEqual(['x-consumer', 'acme', 'x-consumer-groups', 'gold']);
    }
  });

  test('goes on to the backend where that is asked for', () => {
    const { exchange } = ask(['x-api-key', 'umbrella-key-012345'], [PARTNERS], { keepCredential: true });
    expect(exchange.headers.fields).toEqual(['x-api-key', 'umbrella-key-012345', 'x-consumer', 'umbrella']);
  });

  test('may stand in a query', () => {
    const from = [{ in: 'query', name: 'key' }];
    const { answer, exchange } = ask([], [PARTNERS], { from }, 'GET /?a=1&key=acme-key-next-one%21%21');
    expect(answer).toBeUndefined();
    expect(exchange.query).toBe('a=1');
  });

  test('of two Secrets is the first one’s', () => {
    const second = keys('second', ['acme-key-0123456789', 'impostor']);
    expect(ask(['x-api-key', 'acme-key-0123456789'], [PARTNERS, second]).exchange.identity?.consumer).toBe('acme');
  });
});

test.each([
  ['another', 'acme-key-0123456780'],
  ['a longer one', 'acme-key-0123456789x'],
  ['its hash', createHash('sha256').update('acme-key-0123456789').digest('hex')],
  ['one that is too long to be any', 'k'.repeat(20_000)],
  ['other letters', 'schlüssel-schlüssel'],
])('%s is refused, and not quoted', (_name, key) => {
  const { answer, exchange } = ask(['x-api-key', key]);
  expect(answer).toMatchObject({ status: 401, code: 'api-key-unknown' });
  expect(String(answer?.body)).not.toContain(key);
  expect(exchange.identity).toBeNull();
});

test('none, or an empty one, is missing', () => {
  expect(ask([]).answer).toMatchObject({ status: 401, code: 'credentials-missing' });
  expect(ask(['x-api-key', '']).answer).toMatchObject({ status: 401, code: 'credentials-missing' });
});

test('a Secret that is not there can’t be built with', () => {
  const build = () => createAuthentication(section([PARTNERS]), contextFixture());
  expect(build).toThrow(StageError);
  expect(build).toThrow('methods[0].credentials[0]: there is no credentials/shop/keys/partners/apiKey');
});
