/**
 * The path that matching and forwarding both use. One form for both, so that a rule and the backend behind it can't disagree.
 *
 *  - Percent-encoded unreserved characters (letters, digits, `-._~`) are decoded, other triplets keep their place and get upper-case
 *    digits: `/%61dmin` is `/admin`, `%2e` is a dot, `%2f` becomes `%2F` and stays an encoded slash (RFC 3986 section 6.2.2).
 *  - Runs of slashes are one (as nginx, Traefik and Envoy Gateway do by default; `mergeSlashes: false` keeps them), before dots are resolved.
 *  - Dot segments are resolved (RFC 3986 section 5.2.4); one that leads above the root is refused, and so is one that some servers see only after we
 *    have matched: with a path parameter (`/..;/`), or beside an encoded slash or backslash (`/..%2F`).
 *  - `%00`, a malformed triplet and a raw backslash are refused. The query is never touched.
 */
export function normalisePath(raw: string, mergeSlashes: boolean): string | null {
  const decoded = raw.includes('%') ? decodeUnreserved(raw) : raw;
  if (decoded === null || decoded.charCodeAt(0) !== 47) return null;
  const out: string[] = [];
  const segments = decoded.split('/');
  const last = segments.length - 1;
  for (let i = 1; i <= last; i++) {
    const segment = segments[i] as string;
    if (segment === '.' || segment === '..') {
      if (segment === '..' && out.pop() === undefined) return null;
      if (i === last) out.push('');
    } else if (HIDDEN_DOTS.test(segment)) {
      return null;
    } else if (segment !== '' || i === last || !mergeSlashes) {
      out.push(segment);
    }
  }
  return `/${out.join('/')}`;
}

const HIDDEN_DOTS = /(?:^|%2F|%5C)\.\.?(?:;|%2F|%5C|$)/;
const HEX = /^[0-9a-fA-F]{2}$/;
const UNRESERVED = /[A-Za-z0-9\-._~]/;

function decodeUnreserved(raw: string): string | null {
  let out = '';
  let from = 0;
  for (let at = raw.indexOf('%'); at >= 0; at = raw.indexOf('%', from)) {
    const digits = raw.slice(at + 1, at + 3);
    if (!HEX.test(digits) || digits === '00') return null;
    const character = String.fromCharCode(Number.parseInt(digits, 16));
    out += raw.slice(from, at) + (UNRESERVED.test(character) ? character : `%${digits.toUpperCase()}`);
    from = at + 3;
  }
  return out + raw.slice(from);
}
