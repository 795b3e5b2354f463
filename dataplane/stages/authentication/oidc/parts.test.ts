/** What a browser may send to a login, and what is made of it. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { memoryExchange } from '../../../pipeline/memory-downstream.ts';
import { Secret } from '../../secret.ts';
import { Cookies, MAX_PARTS } from './cookies.ts';
import { isNavigation, isOwnTarget, originOf, targetOf } from './navigation.ts';
import { Sealer } from './sealer.ts';

const cookies = new Cookies('shop', false);
const withCookie = (cookie: string) => memoryExchange('GET /', { fields: ['cookie', cookie] });
const pairsOf = (values: readonly string[]) => values.map((value) => value.split(';', 1)[0]).join('; ');

describe('cookies', () => {
  test('a value of any length comes back as it went, in as many cookies as it takes, or is too long', () => {
    const value = fc.string({ unit: fc.constantFrom(...'aZ9._-'), minLength: 1, maxLength: 14_000 });
    fc.assert(
      fc.property(value, (text) => {
        const set = cookies.setSession(memoryExchange('GET /'), text, 1_000);
        if (set === null) return expect(text.length).toBeGreaterThan(11_000);
        expect(set.length).toBeLessThanOrEqual(MAX_PARTS);
        for (const one of set) expect(one.length).toBeLessThanOrEqual(4_096);
        expect(cookies.session(withCookie(`a=b; ${pairsOf(set)}; c=d`))).toBe(text);
      }),
      { numRuns: 50 },
    );
  });

  test('a shorter session takes away what is left of a longer one', () => {
    const set = cookies.setSession(withCookie('shop=x; shop-1=y; shop-2=z'), 'short', 1_000);
    expect(set?.map((one) => one.replace(/; Path.*Max-Age/, ' …'))).toEqual([
      'shop=short …=1',
      'shop-1= …=0',
      'shop-2= …=0',
    ]);
    expect(cookies.clearSession(withCookie('shop=x; other=1'))).toEqual([
      'shop=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0',
    ]);
  });

  test.each([
    ['shop=a; shop-1=b; shop-l2=c; shop-9=d; shopping=e; x-shop=f', 'shopping=e; x-shop=f'],
    ['theme=dark', 'theme=dark'],
    ['shop=a', undefined],
    ['shop-list=milk; shop-l22=x', 'shop-list=milk; shop-l22=x'],
  ])('of %s the backend gets %s', (sent, left) => {
    const exchange = withCookie(sent);
    cookies.strip(exchange);
    expect(exchange.headers.get('cookie')).toBe(left);
  });

  test('whatever is sent, reading it does not throw', async () => {
    const sealer = new Sealer({ secrets: [new Secret(Buffer.alloc(32, 1))], purpose: 'test', epochMs: Date.now });
    const part = fc.oneof(fc.string(), fc.constantFrom('shop=', '2~', '3~x', '; shop-1=', '; ', '=', 'eyJ', '.', '"'));
    await fc.assert(
      fc.asyncProperty(fc.array(part, { maxLength: 8 }), async (parts) => {
        const exchange = withCookie(`shop=${parts.join('')}`);
        const value = cookies.session(exchange);
        if (value !== undefined) expect(await sealer.open(value)).toBeNull();
        cookies.login(exchange, parts.join(''));
        cookies.clearSession(exchange);
        cookies.strip(exchange);
      }),
      { numRuns: 300 },
    );
  });
});

describe('what is sealed', () => {
  let nowMs = Date.now();
  const epochMs = () => nowMs;
  const [old, young] = [new Secret(Buffer.alloc(32, 1)), new Secret(Buffer.alloc(32, 2))];
  const sealer = (purpose: string, ...secrets: Secret[]) => new Sealer({ secrets, purpose, epochMs });

  test('opens for its purpose, with any key that is still there, and in time', async () => {
    const sealed = await sealer('session', old).seal({ a: 1 }, nowMs + 60_000);
    expect(await sealer('session', young, old).open(sealed)).toEqual({ a: 1 });
    expect(await sealer('session', young).open(sealed)).toBeNull();
    expect(await sealer('login', old).open(sealed)).toBeNull();
    nowMs += 61_000;
    expect(await sealer('session', old).open(sealed)).toBeNull();
    nowMs -= 61_000;
  });

  test('with one character changed does not', async () => {
    const own = sealer('session', old);
    const sealed = await own.seal({ claims: { sub: 'alice' } }, nowMs + 60_000);
    const dots = [...sealed.matchAll(/\./g)].map(({ index }) => index);
    // The last character of a part holds bits that mean nothing, as does the whole of the empty one.
    const place = fc.nat(sealed.length - 2).filter((at) => !dots.includes(at + 1));
    await fc.assert(
      fc.asyncProperty(place, fc.constantFrom(...'AZaz09-_.='), async (at, character) => {
        fc.pre(sealed[at] !== character);
        expect(await own.open(sealed.slice(0, at) + character + sealed.slice(at + 1))).toBeNull();
      }),
    );
  });
});

test('nobody is sent to another host after a login', () => {
  const origin = 'https://shop.example.com';
  fc.assert(
    fc.property(
      fc.oneof(
        fc.webPath(),
        fc.string().map((text) => `/${text}`),
        fc.string(),
      ),
      (target) => {
        if (!isOwnTarget(target)) return;
        expect(new URL(target, origin).origin).toBe(origin);
        expect(target).not.toMatch(/[\r\n]/);
      },
    ),
  );
  for (const bad of [
    '//evil.test',
    '/\\evil.test',
    'https://evil.test',
    '',
    '/a b',
    '/\t/evil.test',
    `/${'x'.repeat(2_000)}`,
  ])
    expect(isOwnTarget(bad)).toBe(false);
  expect(targetOf(memoryExchange('GET /a?b=c'))).toBe('/a?b=c');
  expect(targetOf(memoryExchange('GET //evil.test'))).toBe('/');
});

test.each([
  ['GET', ['accept', 'text/html,*/*'], true],
  ['GET', ['sec-fetch-mode', 'navigate'], true],
  ['GET', ['accept', 'text/html', 'sec-fetch-mode', 'cors'], false],
  ['GET', ['accept', '*/*'], false],
  ['GET', [], false],
  ['POST', ['accept', 'text/html', 'sec-fetch-mode', 'navigate'], false],
])('a page is asked for: %s %s %s', (method, fields, expected) => {
  expect(isNavigation(memoryExchange(`${method} /`, { fields }))).toBe(expected);
});

test('where browsers are: as the request says, or as the policy does', () => {
  const exchange = memoryExchange('GET /', { authority: 'shop.example.com:8443', scheme: 'https' });
  expect(originOf(exchange, '')).toBe('https://shop.example.com:8443');
  expect(originOf(exchange, 'https://www.example.com')).toBe('https://www.example.com');
  expect(originOf(memoryExchange('GET /', { authority: '[' }), '')).toBeNull();
});
