/** The signature base of a request (RFC 9421 section 2.5): what is signed. */
import { isInnerList, parseDictionary, serializeInnerList, serializeItem } from 'structured-headers';
import type { Exchange } from '../../../pipeline/exchange.ts';
import type { Component, SignatureInput } from './fields.ts';

/** Null where a component is not of this request, or of a kind that is not supported. */
export function signatureBase(exchange: Exchange, { components, parameters }: SignatureInput): string | null {
  let base = '';
  for (const component of components) {
    const value = componentValue(exchange, component);
    if (value === null) return null;
    base += `${component.identifier}: ${value}\n`;
  }
  return `${base}"@signature-params": ${parameters}`;
}

function componentValue(exchange: Exchange, { name, parameters }: Component): string | null {
  if (name.charCodeAt(0) !== AT) return fieldValue(exchange, name, parameters);
  if (name === '@query-param') return queryParameter(exchange.query, parameters);
  if (parameters.size > 0) return null;
  const { query } = exchange;
  switch (name) {
    case '@method':
      return exchange.method;
    case '@authority':
      return authorityOf(exchange);
    case '@scheme':
      return exchange.scheme;
    // As the gateway forwards it: normalised (section 2.2.6 asks for that too).
    case '@path':
      return exchange.path;
    case '@query':
      return `?${query ?? ''}`;
    case '@request-target':
      return query === undefined ? exchange.path : `${exchange.path}?${query}`;
    case '@target-uri':
      return `${exchange.scheme}://${authorityOf(exchange)}${exchange.path}${query === undefined ? '' : `?${query}`}`;
    default:
      return null;
  }
}

const AT = 0x40;

/** Section 2.2.3: lower case, without the scheme's own port. */
function authorityOf({ authority, scheme }: Exchange): string {
  const own = scheme === 'https' ? ':443' : ':80';
  const lower = authority.toLowerCase();
  return lower.endsWith(own) ? lower.slice(0, -own.length) : lower;
}

/** Section 2.1: several lines of one name joined. Of the parameters, `key` (2.1.2) and `bs` (2.1.3). */
function fieldValue({ headers }: Exchange, name: string, parameters: Component['parameters']): string | null {
  const combined = headers.getCombined(name);
  if (combined === undefined) return null;
  if (parameters.size === 0) return combined.trim();
  if (parameters.size > 1) return null;
  if (parameters.get('bs') === true) {
    const { fields } = headers;
    const values = fields.filter((_, i) => i % 2 === 1 && fields[i - 1] === name);
    return values.map((value) => `:${Buffer.from(value.trim(), 'latin1').toString('base64')}:`).join(', ');
  }
  const key = parameters.get('key');
  if (typeof key !== 'string') return null;
  return memberOf(combined, key);
}

function memberOf(field: string, key: string): string | null {
  try {
    const member = parseDictionary(field).get(key);
    if (member === undefined) return null;
    return isInnerList(member) ? serializeInnerList(member) : serializeItem(member);
  } catch {
    return null;
  }
}

/** Section 2.2.8: decoded and encoded anew; a name that is there more than once can't be signed so. */
function queryParameter(query: string | undefined, parameters: Component['parameters']): string | null {
  const name = parameters.get('name');
  if (query === undefined || typeof name !== 'string' || parameters.size > 1) return null;
  let found: string | null = null;
  for (const [key, value] of new URLSearchParams(query)) {
    if (encode(key) !== name) continue;
    if (found !== null) return null;
    found = encode(value);
  }
  return found;
}

/** The set of application/x-www-form-urlencoded (WHATWG URL), with %20 for a space. */
function encode(text: string): string {
  return encodeURIComponent(text.toWellFormed()).replace(
    /[!'()~]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
