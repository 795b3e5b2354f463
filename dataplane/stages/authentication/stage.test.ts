/** How findings compose, held against the plain reading of anyOf and allOf. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Answer, Exchange } from '../../pipeline/exchange.ts';
import { NO_CLAIMS } from '../../pipeline/identity.ts';
import { memoryExchange } from '../../pipeline/memory-downstream.ts';
import { contextFixture } from '../context.fixture.ts';
import type { Finding, Method } from './method.ts';
import { compose } from './stage.ts';

const vouch = (consumer: string, groups: string[] = [], fields: string[] = []): Finding => ({
  kind: 'vouched',
  identity: { consumer, groups, scopes: [], claims: NO_CLAIMS, method: 'm' },
  fields,
});
const REFUSED: Finding = { kind: 'refused', status: 401, code: 'bad', detail: 'Bad.' };
const UNAVAILABLE: Finding = { kind: 'unavailable', code: 'away', detail: 'Away.' };
const ABSENT: Finding = { kind: 'absent' };

interface Asked extends Method {
  asked: number;
}

function method(name: string, finding: Finding, more: Partial<Method> & { late?: boolean } = {}): Asked {
  const { late, ...rest } = more;
  const made: Asked = {
    ...{ name, challenge: '', strip: null, writes: [], asked: 0, ...rest },
    find: () => {
      made.asked++;
      return late === true ? Promise.resolve(finding) : finding;
    },
  };
  return made;
}

async function run(methods: readonly Method[], anyOf: string[][], exchange: Exchange, optional = false) {
  const config = { anyOf, optional, consumerHeader: 'x-consumer', groupsHeader: 'x-consumer-groups' };
  const stage = compose(config, methods, contextFixture());
  return (await stage.onRequest?.(exchange)) as Answer | undefined;
}

test('what passes is what the alternatives say, whatever waits and in whatever order; each method is asked at most once', async () => {
  const findings = fc.constantFrom('vouched', 'absent', 'refused', 'unavailable');
  const scene = fc
    .array(fc.record({ finding: findings, late: fc.boolean() }), { minLength: 1, maxLength: 4 })
    .chain((asked) =>
      fc.record({
        asked: fc.constant(asked),
        optional: fc.boolean(),
        anyOf: fc
          .array(fc.uniqueArray(fc.nat(asked.length - 1), { minLength: 1, maxLength: 4 }), {
            minLength: 1,
            maxLength: 4,
          })
          .filter((anyOf) => new Set(anyOf.flat()).size === asked.length),
      }),
    );
  await fc.assert(
    fc.asyncProperty(scene, async ({ asked, anyOf, optional }) => {
      const kinds = { vouched: vouch('acme'), absent: ABSENT, refused: REFUSED, unavailable: UNAVAILABLE };
      const methods = asked.map(({ finding, late }, i) =>
        method(`m${i}`, kinds[finding as keyof typeof kinds], { late }),
      );
      const exchange = memoryExchange('GET /');
      const answer = await run(
        methods,
        anyOf.map((names) => names.map((i) => `m${i}`)),
        exchange,
        optional,
      );
      const holds = anyOf.some((names) => names.every((i) => asked[i]?.finding === 'vouched'));
      const nothing = asked.every(({ finding }) => finding === 'absent');
      expect(answer === undefined).toBe(holds || (optional && nothing));
      expect(exchange.identity?.consumer).toBe(holds ? 'acme' : undefined);
      for (const one of methods) expect(one.asked).toBeLessThanOrEqual(1);
    }),
    { numRuns: 300 },
  );
});

describe('what a request without passage is told', () => {
  const cases: [string, Finding[], string[][], string][] = [
    ['nothing at all: 401', [ABSENT, ABSENT], [['m0'], ['m1']], '401 credentials-missing'],
    ['a wrong one and none: what the wrong one says', [ABSENT, REFUSED], [['m0'], ['m1']], '401 bad'],
    ['one that can not be told beside a wrong one: 503', [REFUSED, UNAVAILABLE], [['m0'], ['m1']], '503 away'],
    ['half of what is needed: 401', [vouch('acme'), ABSENT], [['m0', 'm1']], '401 credentials-missing'],
  ];
  test.each(cases)('%s', async (_what, findings, anyOf, expected) => {
    const answer = await run(
      findings.map((finding, i) => method(`m${i}`, finding)),
      anyOf,
      memoryExchange('GET /'),
    );
    expect(`${answer?.status} ${answer?.code}`).toBe(expected);
  });

  test('half of what is needed is not nothing: optional does not let it pass', async () => {
    const methods = [method('a', vouch('acme')), method('b', ABSENT)];
    const answer = await run(methods, [['a', 'b']], memoryExchange('GET /'), true);
    expect(answer?.status).toBe(401);
  });

  test('every scheme is offered, with what its method says of the refusal', async () => {
    const methods = [
      method('jwt', { ...REFUSED, challenge: 'error="invalid_token"' } as Finding, {
        challenge: 'Bearer realm="shop"',
      }),
      method('basic', ABSENT, { challenge: 'Basic realm="shop"' }),
      method('key', ABSENT),
    ];
    const answer = await run(methods, [['jwt'], ['basic'], ['key']], memoryExchange('GET /'));
    const fields = answer?.headers.fields.filter((_, i, all) => all[i - (i % 2)] === 'www-authenticate');
    expect(fields).toEqual([
      ...['www-authenticate', 'Bearer realm="shop", error="invalid_token"'],
      ...['www-authenticate', 'Basic realm="shop"'],
    ]);
  });

  test('a login page instead of a 401, and only where nothing was wrong', async () => {
    const login: Answer = {
      ...((await run([method('a', ABSENT)], [['a']], memoryExchange('GET /'))) as Answer),
      status: 302,
    };
    const oidc = method('oidc', { kind: 'absent', answer: login });
    expect((await run([oidc], [['oidc']], memoryExchange('GET /')))?.status).toBe(302);
    const wrong = method('key', REFUSED);
    expect((await run([oidc, wrong], [['oidc'], ['key']], memoryExchange('GET /')))?.status).toBe(401);
  });
});

test('the backend learns who calls from us alone, and gets no credential', async () => {
  const fields = [
    'x-consumer',
    'root',
    'X-Consumer-Groups'.toLowerCase(),
    'admins',
    'x-claim',
    'forged',
    'x-api-key',
    'k',
    'x-other',
    '1',
  ];
  const exchange = memoryExchange('GET /', { fields });
  const key = method('key', vouch('acme', ['gold', 'eu'], ['x-claim', 'mine']), {
    writes: ['x-claim'],
    strip: ({ headers }) => headers.remove('x-api-key'),
  });
  expect(await run([key], [['key']], exchange)).toBeUndefined();
  expect(exchange.headers.fields).toEqual([
    ...['x-other', '1', 'x-consumer', 'acme', 'x-consumer-groups', 'gold,eu', 'x-claim', 'mine'],
  ]);
  const anonymous = memoryExchange('GET /', { fields: [...fields] });
  const absent = method('key', ABSENT, { writes: ['x-claim'], strip: ({ headers }) => headers.remove('x-api-key') });
  expect(await run([absent], [['key']], anonymous, true)).toBeUndefined();
  expect(anonymous.headers.fields).toEqual(['x-other', '1']);
});

test('the first method of an alternative names the consumer; groups, scopes and claims are those of all', async () => {
  const exchange = memoryExchange('GET /');
  const partner = method('partner', vouch('acme', ['partners']));
  const user: Finding = {
    kind: 'vouched',
    identity: { consumer: 'alice', groups: ['staff'], scopes: ['read'], claims: { sub: 'alice' }, method: 'user' },
    fields: [],
  };
  await run([partner, method('user', user)], [['partner', 'user']], exchange);
  expect(exchange.identity).toMatchObject({
    consumer: 'acme',
    groups: ['partners', 'staff'],
    scopes: ['read'],
    claims: { sub: 'alice' },
  });
});

test.each([
  [[['a']], 'b', 'anyOf: the method b is in no alternative'],
  [[['a'], ['c']], 'a2', 'anyOf[1][0]: there is no method called c'],
  [[['a']], 'a', 'methods[1].name: a second method called a'],
])('%j with methods a and %s is refused', (anyOf, second, message) => {
  const methods = [method('a', ABSENT), method(second, ABSENT)];
  const config = { anyOf, optional: false, consumerHeader: '', groupsHeader: '' };
  expect(() => compose(config, methods, contextFixture())).toThrow(message);
});
