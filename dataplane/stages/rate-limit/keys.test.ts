import { describe, expect, test } from 'vitest';
import type { Exchange } from '../../pipeline/exchange.ts';
import { type MemoryRequest, memoryExchange } from '../../pipeline/memory-downstream.ts';
import { perSecond, RateLimitScene as Scene } from './scene.fixture.ts';

describe('keys', () => {
  const identity = {
    consumer: 'acme',
    groups: ['gold'],
    scopes: [],
    claims: { tenant: 't1', level: 3, roles: ['a'], org: { id: 7 } },
    method: 'm',
  };
  const spent = async (key: unknown[], one: Exchange, other: Exchange): Promise<boolean> => {
    const scene = new Scene([perSecond({ limit: 1, key })]);
    expect(await scene.ask(one)).toBeUndefined();
    return (await scene.ask(other)) !== undefined;
  };
  const exchange = (more: Partial<Exchange> & MemoryRequest = {}): Exchange => {
    const { fields, clientAddress, ...rest } = more;
    return Object.assign(
      memoryExchange('GET /', { ...(fields && { fields }), ...(clientAddress && { clientAddress }) }),
      rest,
    );
  };

  test.each<[string, unknown[], Exchange, Exchange, boolean]>([
    [
      'the same network',
      [{ by: 'address' }],
      exchange({ clientAddress: '2001:db8::1' }),
      exchange({ clientAddress: '2001:db8::2' }),
      true,
    ],
    [
      'another network',
      [{ by: 'address' }],
      exchange({ clientAddress: '2001:db8:0:1::1' }),
      exchange({ clientAddress: '2001:db8::1' }),
      false,
    ],
    ['the same consumer', [{ by: 'consumer' }], exchange({ identity }), exchange({ identity }), true],
    [
      'another consumer',
      [{ by: 'consumer' }],
      exchange({ identity }),
      exchange({ identity: { ...identity, consumer: 'b' } }),
      false,
    ],
    ['nobody and nobody', [{ by: 'consumer' }], exchange(), exchange(), true],
    [
      'a claim',
      [{ by: 'claim', name: 'tenant' }],
      exchange({ identity }),
      exchange({ identity: { ...identity, claims: { tenant: 't2' } } }),
      false,
    ],
    [
      'a claim that is no text',
      [{ by: 'claim', name: 'roles' }],
      exchange({ identity }),
      exchange({ identity: { ...identity, claims: { roles: ['b'] } } }),
      false,
    ],
    [
      'a claim within a claim',
      [{ by: 'claim', name: 'org.id' }],
      exchange({ identity }),
      exchange({ identity: { ...identity, claims: { org: { id: 8 } } } }),
      false,
    ],
    ['no such claim', [{ by: 'claim', name: 'constructor' }], exchange({ identity }), exchange(), true],
    [
      'a header',
      [{ by: 'header', name: 'x-t' }],
      exchange({ fields: ['x-t', 'a'] }),
      exchange({ fields: ['x-t', 'b'] }),
      false,
    ],
    [
      'no header and an empty one',
      [{ by: 'header', name: 'x-t' }],
      exchange({ fields: ['x-t', ''] }),
      exchange(),
      true,
    ],
    [
      'two parts that read the same together',
      [
        { by: 'header', name: 'x-a' },
        { by: 'header', name: 'x-b' },
      ],
      exchange({ fields: ['x-a', '1:', 'x-b', ''] }),
      exchange({ fields: ['x-a', '', 'x-b', '1:'] }),
      false,
    ],
    [
      'two parts, one of them other',
      [{ by: 'consumer' }, { by: 'address' }],
      exchange({ identity, clientAddress: '192.0.2.1' }),
      exchange({ identity, clientAddress: '192.0.2.2' }),
      false,
    ],
  ])('%s', async (_name, key, one, other, same) => {
    expect(await spent(key, one, other)).toBe(same);
  });

  test('route and rule', async () => {
    const { ruleFixture } = await import('../../snapshot/fixtures.ts');
    const at = (name: string): Exchange => {
      const resource = ruleFixture(name);
      const rule = { id: resource.id, hash: '', resource, request: [], response: [], finish: [], share: null };
      return exchange({
        rule: {
          ...rule,
          terminal: () => {},
          requestTimeoutMs: 0,
          backendTimeoutMs: 0,
          idleTimeoutMs: 0,
          streamIdleTimeoutMs: 0,
        },
      });
    };
    expect(await spent([{ by: 'route' }], at('a/r/one'), at('a/r/two'))).toBe(true);
    expect(await spent([{ by: 'route' }], at('a/r/one'), at('a/s/one'))).toBe(false);
    expect(await spent([{ by: 'rule' }], at('a/r/one'), at('a/r/two'))).toBe(false);
    expect(await spent([], at('a/r/one'), at('b/s/two'))).toBe(true);
  });

  test('the first override that names the caller counts', async () => {
    const overrides = [
      { consumers: ['acme'], limit: 3 },
      { groups: ['gold'], limit: 4, windowMs: 2_000 },
    ];
    const remaining = async (who: Partial<typeof identity> | null): Promise<string | undefined> => {
      const scene = new Scene([perSecond({ limit: 2, overrides })]);
      const caller = exchange({ identity: who === null ? null : { ...identity, ...who } });
      await scene.ask(caller);
      return scene.respond(caller).get('ratelimit-policy');
    };
    expect(await remaining({})).toBe('"per-client";q=3;w=1');
    expect(await remaining({ consumer: 'b' })).toBe('"per-client";q=4;w=2');
    expect(await remaining({ consumer: 'b', groups: [] })).toBe('"per-client";q=2;w=1');
    expect(await remaining(null)).toBe('"per-client";q=2;w=1');
  });
});

describe('cost', () => {
  test.each([
    [undefined, 4],
    ['3', 3],
    ['0', 1],
    ['99', 5],
    ['-1', 4],
    ['1e9', 4],
    ['', 4],
  ])('of a request field %s: %i', async (value, expected) => {
    const cost = { from: 'requestHeader', name: 'x-cost', default: 4, max: 5 };
    const scene = new Scene([perSecond({ limit: 10, cost })]);
    const exchange = scene.exchange(undefined, { fields: value === undefined ? [] : ['x-cost', value] });
    await scene.ask(exchange);
    expect(scene.respond(exchange).get('ratelimit')).toBe(`"per-client";r=${10 - expected};t=1`);
  });

  test('of a response: admitted while anything is left, charged when it is there', async () => {
    const cost = { from: 'responseHeader', name: 'x-cost', default: 1, max: 50 };
    const scene = new Scene([perSecond({ limit: 10, cost })]);
    const exchange = scene.exchange();
    expect(await scene.ask(exchange)).toBeUndefined();
    scene.respond(exchange, ['x-cost', '9']);
    expect(await scene.ask(exchange)).toBeUndefined();
    scene.respond(exchange, ['x-cost', '70']);
    const refused = scene.exchange();
    expect(await scene.ask(refused)).toMatchObject({ status: 429 });
    scene.respond(refused, []);
    scene.fixture.now += 1_000;
    const next = scene.exchange();
    expect(await scene.ask(next)).toBeUndefined();
    scene.respond(next, []);
    const after = scene.exchange();
    await scene.ask(after);
    expect(scene.respond(after).get('ratelimit')).toBe('"per-client";r=9;t=1');
  });
});
