/** Finds a credential where a method looks for it, and takes it away. On the hot path. */
import type { Exchange } from '../../pipeline/exchange.ts';
import type { CredentialPlace } from '../../snapshot/sections/authentication/source.ts';

export interface Places {
  /** The credential of the first place that holds one; undefined where none does. */
  readonly find: (exchange: Exchange) => string | undefined;
  readonly strip: (exchange: Exchange) => void;
}

/** Longer ones are nobody's: they count as there and wrong. */
export const MAX_CREDENTIAL = 16_384;

export function createPlaces(places: readonly CredentialPlace[]): Places {
  const finders = places.map(finderOf);
  const strippers = places.map(stripperOf);
  const only = finders.length === 1 ? finders[0] : undefined;
  return {
    find:
      only ??
      ((exchange) => {
        for (const find of finders) {
          const found = find(exchange);
          if (found !== undefined) return found;
        }
        return undefined;
      }),
    strip(exchange) {
      for (const strip of strippers) strip(exchange);
    },
  };
}

function finderOf(place: CredentialPlace): Places['find'] {
  const { name } = place;
  switch (place.in) {
    case 'header': {
      if (place.scheme === '') return (exchange) => exchange.headers.get(name);
      const prefix = `${place.scheme.toLowerCase()} `;
      const { length } = prefix;
      return (exchange) => {
        const value = exchange.headers.get(name);
        if (value === undefined || value.length < length || !startsWithIgnoringCase(value, prefix)) return undefined;
        return value.slice(length).trimStart();
      };
    }
    case 'query':
      return ({ query }) => (query === undefined ? undefined : queryValue(query, name));
    case 'cookie':
      return ({ headers }) => cookieValue(headers.getCombined('cookie'), name);
  }
}

function stripperOf(place: CredentialPlace): (exchange: Exchange) => void {
  const { name } = place;
  switch (place.in) {
    case 'header': {
      if (place.scheme === '') return ({ headers }) => headers.remove(name);
      const prefix = `${place.scheme.toLowerCase()} `;
      // Only its own: another method may have its credential in the same field.
      return ({ headers }) => {
        const value = headers.get(name);
        if (value !== undefined && startsWithIgnoringCase(value, prefix)) headers.remove(name);
      };
    }
    case 'query':
      return (exchange) => {
        if (exchange.query !== undefined) exchange.query = withoutQueryValue(exchange.query, name);
      };
    case 'cookie':
      return ({ headers }) => removeCookie(headers, name);
  }
}

function startsWithIgnoringCase(value: string, lowerCasePrefix: string): boolean {
  return value.startsWith(lowerCasePrefix) || value.slice(0, lowerCasePrefix.length).toLowerCase() === lowerCasePrefix;
}

/** The first value of a parameter, decoded as forms are (`+` is a space); undefined where it is not there. */
export function queryValue(query: string, name: string): string | undefined {
  for (const pair of query.split('&')) {
    const at = pair.indexOf('=');
    if (decoded(at < 0 ? pair : pair.slice(0, at)) === name) return at < 0 ? '' : decoded(pair.slice(at + 1));
  }
  return undefined;
}

/** Undefined where nothing is left. */
function withoutQueryValue(query: string, name: string): string | undefined {
  const kept = query.split('&').filter((pair) => {
    const at = pair.indexOf('=');
    return decoded(at < 0 ? pair : pair.slice(0, at)) !== name;
  });
  return kept.length === 0 ? undefined : kept.join('&');
}

function decoded(text: string): string {
  if (!text.includes('%') && !text.includes('+')) return text;
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    return text;
  }
}

/** RFC 6265 section 5.4, read as servers do: the first of that name, without quotes. */
export function cookieValue(header: string | undefined, name: string): string | undefined {
  if (header === undefined) return undefined;
  for (const part of header.split(/[;,]/)) {
    const at = part.indexOf('=');
    if (at < 0 || part.slice(0, at).trim() !== name) continue;
    const value = part.slice(at + 1).trim();
    return value.length > 1 && value.startsWith('"') && value.endsWith('"') ? value.slice(1, -1) : value;
  }
  return undefined;
}

export function removeCookie(headers: Exchange['headers'], name: string): void {
  const { fields } = headers;
  for (let i = 0; i < fields.length; ) {
    if (fields[i] !== 'cookie') {
      i += 2;
      continue;
    }
    const kept = (fields[i + 1] as string).split(';').filter((part) => part.split('=', 1)[0]?.trim() !== name);
    if (kept.length === 0) {
      fields.splice(i, 2);
    } else {
      fields[i + 1] = kept.map((part) => part.trim()).join('; ');
      i += 2;
    }
  }
}
