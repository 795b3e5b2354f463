/** The network a client's address belongs to, so that one who has a whole /64 is one client. */

/** `address` as node:net gives it, IPv4 in dotted form; what is none is returned as it is. Prefix lengths in bits. */
export function addressPrefix(address: string, prefixV4: number, prefixV6: number): string {
  if (address.includes(':'))
    return prefixV6 === 128 && !address.includes('%') ? address : prefixOfV6(address, prefixV6);
  return prefixV4 === 32 ? address : prefixOfV4(address, prefixV4);
}

function prefixOfV4(address: string, bits: number): string {
  const parts = address.split('.');
  if (parts.length !== 4) return address;
  let value = 0;
  for (const part of parts) value = (value << 8) | Number(part);
  value &= -1 << (32 - bits);
  return `${value >>> 24}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}/${bits}`;
}

/** Groups are read as far as the prefix needs them. RFC 4291 section 2.2. */
function prefixOfV6(address: string, bits: number): string {
  const gap = address.indexOf('::');
  const head = gap < 0 ? address : address.slice(0, gap);
  const groups = head === '' ? [] : head.split(':');
  if (gap >= 0) {
    const tail = address.slice(gap + 2);
    const after = tail === '' ? [] : tail.split(':');
    // A dotted end is two groups long; it is behind every prefix that cuts it off, else taken as it is.
    const width = groups.length + after.length + (tail.includes('.') ? 1 : 0);
    for (let i = width; i < 8; i++) groups.push('0');
    groups.push(...after);
  }
  let text = '';
  for (let i = 0, left = bits; left > 0; i++, left -= 16) {
    const group = groups[i] ?? '0';
    const value = Number.parseInt(group, 16) & (left >= 16 ? 0xffff : (0xffff << (16 - left)) & 0xffff);
    text += group.includes('.') ? `${group}:` : `${value.toString(16)}:`;
  }
  return `${text}:/${bits}`;
}
