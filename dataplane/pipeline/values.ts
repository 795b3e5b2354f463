/**
 * Query parameters and cookies by name, read only when a rule asks for one. The last text read is remembered, since all
 * candidates of one request ask about the same one.
 */

/** Names are lower-case; `fields` is name, value, name, value, … */
export interface HeaderView {
  readonly fields: readonly string[];
  get(name: string): string | undefined;
  getCombined(name: string): string | undefined;
}

export type Values = ReadonlyMap<string, string>;

const NONE: Values = new Map();
let lastQuery = '';
let lastQueryValues: Values = NONE;
let lastCookie = '';
let lastCookieValues: Values = NONE;

/** Names and values decoded as application/x-www-form-urlencoded (WHATWG URL section 5.1); of a repeated name the first counts. */
export function parseQuery(query: string | undefined): Values {
  if (query === undefined || query === '') return NONE;
  if (query === lastQuery) return lastQueryValues;
  const values = new Map<string, string>();
  for (const pair of query.split('&')) {
    if (pair === '') continue;
    const equals = pair.indexOf('=');
    const name = decodeForm(equals < 0 ? pair : pair.slice(0, equals));
    if (!values.has(name)) values.set(name, equals < 0 ? '' : decodeForm(pair.slice(equals + 1)));
  }
  lastQuery = query;
  lastQueryValues = values;
  return values;
}

/** RFC 6265 section 5.4 read backwards; HTTP/2 may split the field (RFC 9113 section 8.2.3). Of a repeated name the first counts. */
export function parseCookies(headers: HeaderView): Values {
  let text: string | undefined;
  const fields = headers.fields;
  for (let i = 0; i < fields.length; i += 2) {
    if (fields[i] === 'cookie') text = text === undefined ? fields[i + 1] : `${text};${fields[i + 1]}`;
  }
  if (text === undefined) return NONE;
  if (text === lastCookie) return lastCookieValues;
  const values = new Map<string, string>();
  for (const pair of text.split(';')) {
    const equals = pair.indexOf('=');
    if (equals < 0) continue;
    const name = pair.slice(0, equals).trim();
    if (name !== '' && !values.has(name)) values.set(name, pair.slice(equals + 1).trim());
  }
  lastCookie = text;
  lastCookieValues = values;
  return values;
}

function decodeForm(text: string): string {
  if (!text.includes('%') && !text.includes('+')) return text;
  const spaced = text.replaceAll('+', ' ');
  try {
    return decodeURIComponent(spaced);
  } catch {
    // Not UTF-8 or a stray percent sign: compared as it came, which no decoded value of a rule equals by accident.
    return spaced;
  }
}
