/**
 * Canonical JSON and the hash of a resource: the same value gives the same bytes on every replica and every Node version.
 *
 * Keys are sorted by UTF-16 code unit and numbers and strings are written as ECMAScript does (RFC 8785 sections 3.2.2 and
 * 3.2.3); a property whose value is undefined is left out.
 */
import { createHash } from 'node:crypto';

/** The canonical JSON text of a plain value. Throws TypeError on what JSON can't hold (NaN, a function, undefined in an array, …). */
export function canonicalJson(value: unknown): string {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return JSON.stringify(value);
    case 'number':
      if (!Number.isFinite(value)) throw new TypeError(`canonical JSON holds no ${value}`);
      return JSON.stringify(value);
    case 'object':
      break;
    default:
      throw new TypeError(`canonical JSON holds no ${typeof value}`);
  }
  if (value === null) return 'null';
  if (Array.isArray(value)) {
    let out = '[';
    for (let i = 0; i < value.length; i++) out += i === 0 ? canonicalJson(value[i]) : `,${canonicalJson(value[i])}`;
    return `${out}]`;
  }
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    throw new TypeError(`canonical JSON holds plain objects only, not ${value.constructor?.name}`);
  }
  const object = value as Record<string, unknown>;
  let out = '{';
  for (const key of Object.keys(object).sort()) {
    const member = object[key];
    if (member === undefined) continue;
    out += `${out.length === 1 ? '' : ','}${JSON.stringify(key)}:${canonicalJson(member)}`;
  }
  return `${out}}`;
}

/** UTF-8 bytes of `canonicalJson`: the body of a resource on the wire. */
export function canonicalBytes(value: unknown): Uint8Array {
  return Buffer.from(canonicalJson(value), 'utf8');
}

/** The hash of a resource body: the first 128 bits of SHA-256, 32 hex digits. */
export function hashBody(body: Uint8Array): string {
  return createHash('sha256').update(body).digest('hex').slice(0, 32);
}
