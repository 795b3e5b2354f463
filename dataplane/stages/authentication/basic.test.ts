/** Users and passwords of Secrets, through the section that holds them. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Answer } from '../../pipeline/exchange.ts';
import { memoryExchange } from '../../pipeline/memory-downstream.ts';
import type { CredentialsResource } from '../../snapshot/credentials.ts';
import { authenticationSection } from '../../snapshot/sections/authentication.ts';
import { contextFixture } from '../context.fixture.ts';
import { loadMethods } from './methods.ts';
import { createAuthentication } from './stage.ts';

/** U*U and U*U* (crypt_blowfish's own tests). */
const HASH = '$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW';
const OTHER_HASH = '$2a$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK';
const RIGHT = basic('ada', 'U*U');

const base = contextFixture();
const { passwords } = base.services;
beforeAll(() => loadMethods(['basic']));
afterAll(() => passwords.close());

function basic(user: string, password: string): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
}

function users(...entries: [user: string, hash: string, ...groups: string[]][]): CredentialsResource {
  return {
    kind: 'credentials',
    id: 'credentials/shop/site/users/basic',
    source: 'shop/users',
    entries: { type: 'basic', users: entries.map(([consumer, hash, ...groups]) => ({ consumer, hash, groups })) },
  };
}

function stageOf(resource: CredentialsResource, more: object = {}) {
  const method = { kind: 'basic', name: 'site', realm: 'the shop', credentials: [resource.id], ...more };
  const config = authenticationSection.parse({ section: 'authentication', methods: [method], anyOf: [['site']] });
  const context = contextFixture({ consumers: [resource], services: base.services });
  return createAuthentication(config, context);
}

const stage = (more: object = {}) => stageOf(users(['ada', HASH, 'staff'], ['bob', OTHER_HASH]), more);

async function ask(fields: string[], asked = stage()) {
  const exchange = memoryExchange('GET /', { fields });
  const outcome = asked.onRequest?.(exchange);
  return { waited: outcome instanceof Promise, answer: (await outcome) as Answer | undefined, exchange };
}

describe('the right password', () => {
  test('is verified once; after that nothing waits, in other stages too', async () => {
    const first = await ask(['authorization', RIGHT]);
    expect(first).toMatchObject({ waited: true, answer: undefined });
    for (const asked of [stage(), stage()]) {
      const { waited, answer, exchange } = await ask(['authorization', RIGHT.replace('Basic', 'bASIC')], asked);
      expect({ waited, answer }).toEqual({ waited: false, answer: undefined });
      expect(exchange.identity).toMatchObject({ consumer: 'ada', groups: ['staff'], method: 'site' });
      expect(exchange.headers.fields).toEqual(['x-consumer', 'ada', 'x-consumer-groups', 'staff']);
    }
  });

  test('no longer counts when the user has another, and counts again when that is taken back', async () => {
    await ask(['authorization', RIGHT]);
    const changed = stageOf(users(['ada', OTHER_HASH]));
    expect((await ask(['authorization', RIGHT], changed)).answer).toMatchObject({ status: 401, code: 'basic-unknown' });
    expect((await ask(['authorization', basic('ada', 'U*U*')], changed)).answer).toBeUndefined();
    expect((await ask(['authorization', RIGHT])).answer).toBeUndefined();
  });

  test('of a user who is gone does not count', async () => {
    await ask(['authorization', RIGHT]);
    const { answer } = await ask(['authorization', RIGHT], stageOf(users(['bob', OTHER_HASH])));
    expect(answer).toMatchObject({ status: 401, code: 'basic-unknown' });
  });

  test('goes on to the backend where that is asked for', async () => {
    const { exchange } = await ask(['authorization', RIGHT], stage({ keepCredential: true }));
    expect(exchange.headers.get('authorization')).toBe(RIGHT);
  });
});

test.each([
  ['a wrong password', basic('ada', 'guess'), 'basic-unknown'],
  ['an empty password', basic('ada', ''), 'basic-unknown'],
  ['the hash as password', basic('ada', HASH), 'basic-unknown'],
  ['an unknown user', basic('eve', 'U*U'), 'basic-unknown'],
  ['the password of another', basic('bob', 'U*U'), 'basic-unknown'],
  ['other letters in the name', basic('Ada', 'U*U'), 'basic-unknown'],
  ['no base64', 'Basic ada:U*U', 'basic-malformed'],
  ['nothing after the scheme', 'Basic ', 'basic-malformed'],
  ['more than anybody sends', `Basic ${'YTpi'.repeat(5_000)}`, 'basic-malformed'],
])('%s is refused, with the challenge of RFC 7617', async (_name, authorization, code) => {
  const { answer } = await ask(['authorization', authorization]);
  expect(answer).toMatchObject({ status: 401, code });
  expect(answer?.headers.get('www-authenticate')).toBe('Basic realm="the shop", charset="UTF-8"');
  expect(String(answer?.body)).not.toContain('U*U');
});

test.each([[[]], [['authorization', 'Bearer abc']], [['authorization', 'Basically']]])(
  '%j holds no Basic credential',
  async (fields) => {
    const { answer } = await ask(fields);
    expect(answer).toMatchObject({ status: 401, code: 'credentials-missing' });
    expect(answer?.headers.get('www-authenticate')).toBe('Basic realm="the shop", charset="UTF-8"');
  },
);

test('where no user is known at all, an unknown one is verified none the less', async () => {
  const { waited, answer } = await ask(['authorization', basic('eve', 'x')], stageOf(users()));
  expect({ waited, code: answer?.code }).toEqual({ waited: true, code: 'basic-unknown' });
});

test('too many at once: 503, and those who are known still pass', async () => {
  await ask(['authorization', RIGHT]);
  const guesses = Array.from({ length: 80 }, (_, i) => ask(['authorization', basic('ada', `guess ${i}`)]));
  expect((await ask(['authorization', RIGHT])).waited).toBe(false);
  const answers = (await Promise.all(guesses)).map(({ answer }) => answer);
  const busy = answers.filter((answer) => answer?.code === 'basic-busy');
  expect(busy.length).toBeGreaterThan(0);
  for (const answer of busy) expect(answer?.headers.get('retry-after')).toBe('1');
  for (const answer of answers) expect([401, 503]).toContain(answer?.status);
});

test('a hash that nobody takes can’t be built with, and is not quoted', () => {
  const build = () => stageOf(users(['ada', '$apr1$c2FsdA$0123456789']));
  expect(build).toThrow('methods[0].credentials[0]: the password of ada is an MD5 hash');
  expect(build).not.toThrow('0123456789');
});
