/** IP addresses as Kubernetes takes them (isIP and isCIDR of its CEL library): no zone, no IPv4 inside IPv6. */
import { isIP } from 'node:net';

export function isAddress(text: string): boolean {
  return familyOf(text) !== 0;
}

/** A block such as 10.0.0.0/8, or one address. */
export function isCidr(text: string): boolean {
  const slash = text.indexOf('/');
  if (slash < 0) return isAddress(text);
  const family = familyOf(text.slice(0, slash));
  const bits = text.slice(slash + 1);
  return family !== 0 && /^(0|[1-9][0-9]{0,2})$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128);
}

function familyOf(text: string): number {
  const family = isIP(text);
  if (family !== 6) return family;
  // WHATWG URL writes an IPv6 host in its shortest form.
  return text.includes('%') || new URL(`http://[${text}]`).hostname.startsWith('[::ffff:') ? 0 : 6;
}
