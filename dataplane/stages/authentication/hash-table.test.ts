import { expect, test } from 'vitest';
import { HashTable } from './hash-table.ts';

test('tells hashes apart that begin alike, and keeps the first of two that are the same', () => {
  const table = new HashTable<string>();
  const [one, two] = [`deadbeef${'0'.repeat(56)}`, `deadbeef${'1'.repeat(56)}`];
  expect(table.get(one)).toBeUndefined();
  table.add(one, 'one');
  table.add(two, 'two');
  table.add(one, 'again');
  expect([table.get(one), table.get(two), table.get('f'.repeat(64))]).toEqual(['one', 'two', undefined]);
});
