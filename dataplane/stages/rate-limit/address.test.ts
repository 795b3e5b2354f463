import fc from 'fast-check';
import { expect, test } from 'vitest';
import { addressPrefix } from '../../io/address-prefix.ts';

test.each([
  ['192.0.2.77', 32, 64, '192.0.2.77'],
  ['192.0.2.77', 24, 64, '192.0.2.0/24'],
  ['255.255.255.255', 1, 64, '128.0.0.0/1'],
  ['2001:db8:1:2:3:4:5:6', 32, 64, '2001:db8:1:2::/64'],
  ['2001:0db8:0001:0002::9', 32, 64, '2001:db8:1:2::/64'],
  ['2001:db8::1', 32, 64, '2001:db8:0:0::/64'],
  ['2001:db8:1:2:3:4:5:6', 32, 56, '2001:db8:1:0::/56'],
  ['2001:db8:1:ffff::', 32, 60, '2001:db8:1:fff0::/60'],
  ['::1', 32, 64, '0:0:0:0::/64'],
  ['::', 32, 16, '0::/16'],
  ['fe80::1', 32, 10, 'fe80::/10'],
  ['64:ff9b::192.0.2.1', 32, 64, '64:ff9b:0:0::/64'],
  ['2001:db8::1', 32, 128, '2001:db8::1'],
  ['', 24, 64, ''],
  ['64:ff9b::192.0.2.1', 32, 127, '64:ff9b:0:0:0:0:c000:200::/127'],
  ['1:2:3:4:5:6:7::', 32, 112, '1:2:3:4:5:6:7::/112'],
  ['::2:3:4:5:6:7:8', 32, 32, '0:2::/32'],
  ['1::8', 32, 127, '1:0:0:0:0:0:0:8::/127'],
  ['1:2::2:1', 32, 127, '1:2:0:0:0:0:2:0::/127'],
  ['not:an:address', 32, 64, 'not:an:address'],
  ['1::2::3', 32, 64, '1::2::3'],
])('%s with /%i and /%i is %s', (address, v4, v6, expected) => {
  expect(addressPrefix(address, v4, v6)).toBe(expected);
});

test('every way to write an address is the same network', () => {
  const group = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff }));
  fc.assert(
    fc.property(fc.array(group, { minLength: 8, maxLength: 8 }), fc.integer({ min: 1, max: 127 }), (groups, bits) => {
      const whole = groups.map((one) => one.toString(16).padStart(4, '0')).join(':');
      const short = new URL(`http://[${whole}]/`).hostname.slice(1, -1);
      const expected = addressPrefix(whole, 32, bits);
      expect(addressPrefix(short, 32, bits)).toBe(expected);
      expect(addressPrefix(whole.toUpperCase(), 32, bits)).toBe(expected);
      const masked = groups.map((one, i) => one & ~((1 << Math.max(0, Math.min(16, 16 * (i + 1) - bits))) - 1));
      const text = masked.slice(0, Math.ceil(bits / 16)).map((one) => `${one.toString(16)}:`);
      expect(expected).toBe(`${text.join('')}:/${bits}`);
    }),
  );
});
