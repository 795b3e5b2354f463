/** Request ids: UUID version 7 (RFC 9562 section 5.7), so that they sort by time; and which of a client's are believed. */
import { randomFillSync } from 'node:crypto';
import { latin1 } from '../io/latin1.ts';

const RANDOM_BYTES = 10;
const BATCH = 256;
/** What follows the time: `-7xxx-yxxx-xxxxxxxxxxxx`. */
const TAIL = 23;

/** Two hex digits, in ASCII, for each byte. */
const HEX = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0')).join(''));
const DASH = 45;
const SEVEN = 55;

/**
 * A maker of ids. `now` in ms since the epoch, `fill` fills with random bytes; both for tests. The random parts of many ids are written as one
 * text, of which each id is a slice: an id costs no call out of JavaScript.
 */
export function createRequestIds(
  now: () => number = Date.now,
  fill: (bytes: Buffer) => void = (bytes) => void randomFillSync(bytes),
): () => string {
  const random = Buffer.allocUnsafe(RANDOM_BYTES * BATCH);
  const digits = Buffer.allocUnsafe(TAIL * BATCH);
  let tails = '';
  let used = BATCH * TAIL;
  let lastMs = -1;
  let time = '';
  return () => {
    const ms = now();
    if (ms !== lastMs) {
      lastMs = ms;
      const hex = ms.toString(16).padStart(12, '0');
      time = `${hex.slice(0, 8)}-${hex.slice(8)}`;
    }
    if (used === BATCH * TAIL) {
      fill(random);
      for (let i = 0; i < BATCH; i++) writeTail(digits, i * TAIL, random, i * RANDOM_BYTES);
      tails = latin1(digits, 0, digits.length);
      used = 0;
    }
    const tail = tails.slice(used, used + TAIL);
    used += TAIL;
    return time + tail;
  };
}

function writeTail(out: Buffer, at: number, random: Buffer, from: number): void {
  out[at] = DASH;
  out[at + 1] = SEVEN;
  out[at + 2] = HEX[((random[from] as number) & 0x0f) * 2 + 1] as number;
  putByte(out, at + 3, random[from + 1] as number);
  out[at + 5] = DASH;
  putByte(out, at + 6, 0x80 | ((random[from + 2] as number) & 0x3f));
  putByte(out, at + 8, random[from + 3] as number);
  out[at + 10] = DASH;
  for (let i = 4, to = at + 11; i < RANDOM_BYTES; i++, to += 2) putByte(out, to, random[from + i] as number);
}

function putByte(out: Buffer, at: number, byte: number): void {
  out[at] = HEX[byte * 2] as number;
  out[at + 1] = HEX[byte * 2 + 1] as number;
}

/** An id that came with a request is taken only in this form; it ends up in logs, header fields and problem documents. */
export function isAcceptableRequestId(id: string): boolean {
  return /^[0-9A-Za-z._~+/=:-]{1,128}$/.test(id);
}
