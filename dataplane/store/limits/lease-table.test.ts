import { expect, test } from 'vitest';
import { newLease } from './lease.ts';
import { LeaseTable } from './lease-table.ts';

test('callers of the same place keep their own leases, in the order in which they came', () => {
  const table = new LeaseTable();
  // More callers than places: some fall together.
  const leases = Array.from({ length: 3000 }, (_, i) => newLease(`caller-${i}`, `key-${i}`));
  for (const lease of leases) table.add(lease);
  for (const lease of leases) expect(table.get(lease.caller)).toBe(lease);
  for (const lease of leases.filter((_, i) => i % 3 === 0)) table.delete(lease);
  leases.forEach((lease, i) => {
    expect(table.get(lease.caller)).toBe(i % 3 === 0 ? undefined : lease);
  });
  expect([...table.values()]).toEqual(leases.filter((_, i) => i % 3 !== 0));
  expect(table.size).toBe(2000);
  table.clear();
  expect([table.size, table.get('caller-1')]).toEqual([0, undefined]);
});
