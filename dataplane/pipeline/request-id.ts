/** Request ids: UUID version 7 (RFC 9562 section 5.7), so that they sort by time; and which of a client's are believed. */
import { randomFillSync } from 'node:crypto';

const BATCH_BYTES = 10 * 400;

/** A maker of ids. `now` in ms since the epoch, `fill` fills with random bytes; both for tests. */
export function createRequestIds(
  now: () => number = Date.now,
  fill: (bytes: Buffer) => void = (bytes) => void randomFillSync(bytes),
): () => string {
  const random = Buffer.allocUnsafe(BATCH_BYTES);
  let used = BATCH_BYTES;
  let lastMs = -1;
  let prefix = '';
  return () => {
    const ms = now();
    if (ms !== lastMs) {
      lastMs = ms;
      const hex = ms.toString(16).padStart(12, '0');
      prefix = `${hex.slice(0, 8)}-${hex.slice(8, 12)}-`;
    }
    if (used === BATCH_BYTES) {
      fill(random);
      used = 0;
    }
    random[used] = 0x70 | ((random[used] as number) & 0x0f);
    random[used + 2] = 0x80 | ((random[used + 2] as number) & 0x3f);
    const hex = random.toString('hex', used, used + 10);
    used += 10;
    return `${prefix}${hex.slice(0, 4)}-${hex.slice(4, 8)}-${hex.slice(8)}`;
  };
}

/** An id that came with a request is taken only in this form; it ends up in logs, header fields and problem documents. */
export function isAcceptableRequestId(id: string): boolean {
  return /^[0-9A-Za-z._~+/=:-]{1,128}$/.test(id);
}
