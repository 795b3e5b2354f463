import { expect, test } from 'vitest';
import { isLocalAddress } from './local-address.ts';

test.each([
  '127.0.0.1',
  '127.255.0.1',
  '0.0.0.0',
  '169.254.169.254',
  '224.0.0.1',
  '255.255.255.255',
  '::',
  '::1',
  '0:0:0:0:0:0:0:1',
  '::ffff:127.0.0.1',
  'fe80::1',
  'fe80::1%eth0',
  'ff02::1',
  'fd00:ec2::254',
  'localhost',
  'a.localhost',
  'localhost.',
  '127.0.0.1.',
  '127.1',
  '2130706433',
  '0x7f000001',
  '0x7f.1',
])('%s leads to the data plane itself', (address) => expect(isLocalAddress(address)).toBe(true));

test.each([
  '10.0.0.1',
  '192.168.1.1',
  '100.64.0.1',
  '2001:db8::1',
  'fd00::1',
  'example.com',
  'localhost.example.com',
  'a1.b2',
  '1.example',
])('%s does not', (address) => expect(isLocalAddress(address)).toBe(false));
