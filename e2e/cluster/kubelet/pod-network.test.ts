import { expect, test } from 'vitest';
import { AddressPool } from './pod-network.ts';

test('addresses are unique, come from the podCIDR, and a freed one comes back last', () => {
  const pool = new AddressPool('10.244.3.0/24');
  expect(pool.take()).toBe('10.244.3.2');
  expect(pool.take()).toBe('10.244.3.3');
  pool.release('10.244.3.2');
  expect(pool.take()).toBe('10.244.3.4');
  const rest = Array.from({ length: 251 }, () => pool.take());
  expect(rest.at(-1)).toBe('10.244.3.2');
  expect(new Set(rest).size).toBe(251);
  expect(() => pool.take()).toThrow('no free address');
});

test('another size of podCIDR is refused', () => {
  expect(() => new AddressPool('10.244.0.0/16')).toThrow('expected a /24');
});
