/** Content-Digest (RFC 9530): the body is what it says. */
import { createHash, timingSafeEqual } from 'node:crypto';
import { parseDictionary } from 'structured-headers';

const HASHES: ReadonlyMap<string, string> = new Map([
  ['sha-256', 'sha256'],
  ['sha-512', 'sha512'],
]);

/** All digests of algorithms that are safe must match, and there must be one. Never throws. */
export function digestHolds(field: string, body: Uint8Array): boolean {
  let checked = false;
  try {
    for (const [name, [value]] of parseDictionary(field)) {
      const hash = HASHES.get(name);
      if (hash === undefined) continue;
      if (!(value instanceof ArrayBuffer)) return false;
      const expected = createHash(hash).update(body).digest();
      const given = Buffer.from(value);
      if (given.length !== expected.length || !timingSafeEqual(given, expected)) return false;
      checked = true;
    }
  } catch {
    return false;
  }
  return checked;
}
