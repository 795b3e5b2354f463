/**
 * Addresses that mean the data plane's own pod or machine: its admin port, the node, the cloud's metadata service. A Backend
 * of a namespace must not lead there.
 */
import { BlockList, isIP } from 'node:net';

const LOCAL = new BlockList();
LOCAL.addSubnet('0.0.0.0', 8, 'ipv4');
LOCAL.addSubnet('127.0.0.0', 8, 'ipv4');
LOCAL.addSubnet('169.254.0.0', 16, 'ipv4');
LOCAL.addSubnet('224.0.0.0', 3, 'ipv4');
LOCAL.addAddress('::', 'ipv6');
LOCAL.addAddress('::1', 'ipv6');
LOCAL.addSubnet('fe80::', 10, 'ipv6');
LOCAL.addSubnet('ff00::', 8, 'ipv6');
LOCAL.addAddress('fd00:ec2::254', 'ipv6');

/** Of an address or name as written. What a DNS name resolves to is asked about again by the data plane. */
export function isLocalAddress(written: string): boolean {
  // Without the zone of `fe80::1%eth0`, and without the dot that ends a whole name.
  const address = (written.split('%', 1)[0] as string).replace(/\.$/, '');
  const family = isIP(address);
  if (family === 0) return looksNumeric(address) || address === 'localhost' || address.endsWith('.localhost');
  return LOCAL.check(address, family === 6 ? 'ipv6' : 'ipv4');
}

/** `127.1` or `2130706433`: resolvers take them for addresses (RFC 1123 section 2.1 forbids such names). */
function looksNumeric(name: string): boolean {
  const last = name.slice(name.lastIndexOf('.') + 1);
  return /^(0x[0-9a-f]*|[0-9]+)$/.test(last);
}
