/** Origins as browsers send them (Fetch, "serializing a request origin"), and patterns of them. */
const EXACT = /^[a-z][a-z0-9+.-]*:\/\/[^/?#@\s*]+$/;
const WILDCARD = /^[a-z][a-z0-9+.-]*:\/\/\*(\.[a-z0-9-]+)+(:\d{1,5})?$/;
const DEFAULT_PORTS = [
  ['https://', ':443'],
  ['http://', ':80'],
] as const;

/** Why no browser would ever send what an origin or a pattern such as `https://*.example.com` matches; null: one could. */
export function originProblem(text: string): string | null {
  const origin = text.toLowerCase();
  if (origin === '*' || origin === 'null') return null;
  if (origin.includes('*')) {
    if (!WILDCARD.test(origin)) return 'must look like https://*.example.com';
  } else if (!EXACT.test(origin)) {
    return 'must look like https://www.example.com, without path or trailing slash';
  }
  for (const [scheme, port] of DEFAULT_PORTS) {
    if (origin.startsWith(scheme) && origin.endsWith(port)) return `must be without ${port}, which browsers leave out`;
  }
  if (!/^https?:/.test(origin)) return null;
  const example = origin.replace('*', 'a');
  return URL.canParse(example) && new URL(example).origin === example
    ? null
    : 'must be written as browsers send it: host in ASCII, port up to 65535';
}
