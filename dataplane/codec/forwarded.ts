/** The Forwarded field (RFC 7239). */

export interface ForwardedElement {
  /** `for` as it stands, without quotes: an address with or without a port, `unknown` or an obfuscated name; empty: not said. */
  readonly node: string;
  /** Lower case; empty: not said. */
  readonly proto: string;
}

/** The n-th element from the right, 1 for the last; null where there are fewer, or the field is malformed. */
export function forwardedFromRight(value: string, n: number): ForwardedElement | null {
  const elements = split(value, ',');
  const element = elements?.[elements.length - n];
  const pairs = element === undefined ? null : split(element, ';');
  if (pairs === null) return null;
  let node = '';
  let proto = '';
  for (const pair of pairs) {
    const match = PAIR.exec(pair);
    if (match === null) {
      if (pair.trim() === '') continue;
      return null;
    }
    const text = match[2] ?? (match[3] as string).replace(/\\(.)/g, '$1');
    const name = (match[1] as string).toLowerCase();
    if (name === 'for') {
      if (node !== '') return null;
      node = text;
    } else if (name === 'proto') proto = text.toLowerCase();
  }
  return { node, proto };
}

/** Our own element. `host` and `address` hold no quote and no backslash. */
export function forwardedElement(address: string, host: string, proto: string): string {
  const node = address === '' ? 'unknown' : address.includes(':') ? `"[${address}]"` : address;
  return `for=${node}${host === '' ? '' : `;host="${host}"`};proto=${proto}`;
}

const PAIR = /^[ \t]*([!#$%&'*+.^_`|~0-9A-Za-z-]+)=(?:([!#$%&'*+.^_`|~0-9A-Za-z-]+)|"((?:[^"\\]|\\.)*)")[ \t]*$/;

/** At `separator` outside of quotes; null: a quote that does not end. */
function split(text: string, separator: string): string[] | null {
  const parts: string[] = [];
  let from = 0;
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const character = text[i];
    if (quoted) {
      if (character === '\\') i++;
      else if (character === '"') quoted = false;
    } else if (character === '"') quoted = true;
    else if (character === separator) {
      parts.push(text.slice(from, i));
      from = i + 1;
    }
  }
  parts.push(text.slice(from));
  return quoted ? null : parts;
}
