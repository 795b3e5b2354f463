import fc from 'fast-check';
import { expect, test } from 'vitest';
import { memoryExchange } from './memory-downstream.ts';
import { createSplit, type SplitPoint } from './split.ts';

const users = Array.from({ length: 10_000 }, (_, i) => `user-${i}`);
const asks = (user: string, name = 'x-user') => memoryExchange('GET /', { fields: [name, user] });
/** What share of `users` lies below `border`. */
const below = (point: SplitPoint, border: number) => users.filter((user) => point(asks(user)) < border).length / 10_000;
const fail = (): number => {
  throw new Error('drawn');
};

test('shares are as large as their weights, to one percent, also for values that differ in one digit', () => {
  const point = createSplit({ by: 'header', name: 'x-user' }, 'shop/orders', fail);
  for (const border of [0.01, 0.1, 0.5, 0.9]) expect(Math.abs(below(point, border) - border)).toBeLessThan(0.01);
});

test('property: a value has one point, from 0 to below 1, whatever else the request holds', () => {
  const point = createSplit({ by: 'cookie', name: 'user' }, 'shop/orders', fail);
  fc.assert(
    fc.property(fc.stringMatching(/^[a-zA-Z0-9_-]{1,40}$/), (user) => {
      const one = point(asks(`user=${user}`, 'cookie'));
      expect(one).toBe(point(asks(`theme=dark; user=${user}; a=b`, 'cookie')));
      expect(one >= 0 && one < 1).toBe(true);
    }),
  );
});

test('another route begins with other users', () => {
  const [orders, carts] = ['shop/orders', 'shop/carts'].map((salt) =>
    createSplit({ by: 'header', name: 'x-user' }, salt, fail),
  ) as [SplitPoint, SplitPoint];
  const both = users.filter((user) => orders(asks(user)) < 0.1 && carts(asks(user)) < 0.1).length;
  // A hundredth, not a tenth.
  expect(both).toBeLessThan(200);
});

test('without the value, and where nothing is said, it is drawn', () => {
  const drawn = (point: SplitPoint, fields: string[]) => point(memoryExchange('GET /', { fields }));
  const point = createSplit({ by: 'header', name: 'x-user' }, 's', () => 0.25);
  expect([drawn(point, []), drawn(point, ['x-user', ''])]).toEqual([0.25, 0.25]);
  expect(drawn(point, ['x-user', 'a'])).not.toBe(0.25);
  expect(
    drawn(
      createSplit(undefined, 's', () => 0.5),
      ['x-user', 'a'],
    ),
  ).toBe(0.5);
});
