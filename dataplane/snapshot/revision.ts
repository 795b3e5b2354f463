/**
 * The revision of a snapshot: a fingerprint of the set of (id, hash) it holds.
 *
 * The sum modulo 2^256 of SHA-256(id NUL hash) over the set (AdHash: Bellare and Micciancio, "A New Paradigm for
 * Collision-Free Hashing", 1997), so that order does not matter and one changed resource costs two hashes, whatever the size
 * of the set. Both ends are our own programs: it guards against mistakes, not against a chosen collision.
 */
import { createHash } from 'node:crypto';

const MASK = (1n << 256n) - 1n;
const REVISION_DIGITS = 16;

/** A revision that follows a set as it changes. It does not keep the set: remove only what was added, with the same hash. */
export class RevisionSum {
  #sum: bigint;

  private constructor(sum: bigint) {
    this.#sum = sum;
  }

  static empty(): RevisionSum {
    return new RevisionSum(0n);
  }

  add(id: string, hash: string): void {
    this.#sum = (this.#sum + term(id, hash)) & MASK;
  }

  remove(id: string, hash: string): void {
    this.#sum = (this.#sum - term(id, hash)) & MASK;
  }

  copy(): RevisionSum {
    return new RevisionSum(this.#sum);
  }

  /** 16 hex digits. Never empty: the empty set has a revision too, which is not the empty string of "holds nothing yet". */
  value(): string {
    const bytes = Buffer.from(this.#sum.toString(16).padStart(64, '0'), 'hex');
    return createHash('sha256').update(bytes).digest('hex').slice(0, REVISION_DIGITS);
  }
}

/** The revision of a whole set of (id, hash), in any order. */
export function revisionOf(held: Iterable<readonly [id: string, hash: string]>): string {
  const sum = RevisionSum.empty();
  for (const [id, hash] of held) sum.add(id, hash);
  return sum.value();
}

function term(id: string, hash: string): bigint {
  return BigInt(`0x${createHash('sha256').update(id).update('\0').update(hash).digest('hex')}`);
}
