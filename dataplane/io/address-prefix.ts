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

/** The eight groups last read: no array a request. */
const groups = new Uint16Array(8);

/** RFC 4291 section 2.2. What can't be read counts by its text. */
function prefixOfV6(address: string, bits: number): string {
  if (!readGroups(address)) return address;
  let text = '';
  for (let i = 0, left = bits; left > 0; i++, left -= 16) {
    const group = groups[i] as number;
    text += `${(left >= 16 ? group : group & (0xffff << (16 - left))).toString(16)}:`;
  }
  return `${text}:/${bits}`;
}

/** False for what is no address. A dotted end (the last two groups) is only read as far as it stands behind the others. */
function readGroups(address: string): boolean {
  groups.fill(0);
  let count = 0;
  let gap = -1;
  let value = 0;
  let digits = 0;
  for (let i = 0; i < address.length; i++) {
    const code = address.charCodeAt(i);
    if (code === COLON) {
      if (digits > 0) groups[count++] = value;
      if (address.charCodeAt(i + 1) === COLON) {
        if (gap >= 0) return false;
        gap = count;
        i++;
      }
      value = 0;
      digits = 0;
      if (count > 7) return gap === count;
    } else if (code === DOT) {
      return readDotted(address, count, gap);
    } else {
      const digit = code <= NINE ? code - ZERO : (code | 32) - TEN_BELOW_A;
      if (digit < 0 || digit > 15 || ++digits > 4) return false;
      value = (value << 4) | digit;
    }
  }
  if (digits > 0) groups[count++] = value;
  return spread(count, gap);
}

function readDotted(address: string, count: number, gap: number): boolean {
  const [a = 0, b = 0, c = 0, d = 0] = address
    .slice(address.lastIndexOf(':') + 1)
    .split('.')
    .map(Number);
  if (count > 6) return false;
  groups[count] = (a << 8) | b;
  groups[count + 1] = (c << 8) | d;
  return spread(count + 2, gap);
}

/** Moves what stands behind `::` to the end. */
function spread(count: number, gap: number): boolean {
  if (gap < 0) return count === 8;
  const after = count - gap;
  for (let i = 1; i <= after; i++) {
    groups[8 - i] = groups[count - i] as number;
    if (count - i < 8 - after) groups[count - i] = 0;
  }
  return true;
}

const COLON = 58;
const DOT = 46;
const ZERO = 48;
const NINE = 57;
const TEN_BELOW_A = 87;
