/**
 * The lower-case host of a Host field or an authority, without port and without a trailing dot; null where it is malformed.
 * Accepted are DNS names (with underscores), IPv4 and bracketed IPv6, each with an optional port of 0 to 65535. User information is
 * refused (RFC 9110 section 4.2.4), and so is the rest of what RFC 3986 allows in a reg-name: no DNS name has it.
 */
export function hostOf(authority: string): string | null {
  const match = AUTHORITY.exec(authority);
  if (match === null) return null;
  const port = match[2];
  if (port !== undefined && port !== '' && Number(port) > 65535) return null;
  const host = (match[1] as string).toLowerCase();
  if (host.charCodeAt(0) === 91) return host;
  const end = host.endsWith('.') ? host.length - 1 : host.length;
  if (end === 0 || host.startsWith('.') || host.includes('..')) return null;
  return host.slice(0, end);
}

const AUTHORITY = /^([A-Za-z0-9._~-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::([0-9]{0,5}))?$/;
