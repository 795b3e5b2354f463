/**
 * Nonces seen by any worker of this process, in shared memory: a hash table without locks, since a worker may be ended at any moment. A slot
 * holds 32 bits of a nonce's hash and the second it may be forgotten; where it stands comes from other bits, so that another nonce is taken for a known one once in some
 * 10^8 requests at the most. What must be remembered is never given up for another one: when there is no room, `full` is the answer.
 */
const SLOTS = 131_072;
/** Places a nonce may stand at, one after the other. */
const WINDOW = 32;

export const NONCES_BYTES = SLOTS * BigUint64Array.BYTES_PER_ELEMENT;

export type NonceVerdict = 'new' | 'seen' | 'full';

export class SharedNonces {
  readonly #slots: BigUint64Array;

  /** Of NONCES_BYTES, shared by all workers. Pages nobody wrote to cost nothing. */
  constructor(memory: SharedArrayBuffer) {
    this.#slots = new BigUint64Array(memory);
  }

  /** `hash`: 8 bytes or more, evenly spread. `untilSeconds` and `nowSeconds` since the epoch. */
  remember(hash: Buffer, untilSeconds: number, nowSeconds: number): NonceVerdict {
    const start = hash.readUInt32LE(0) % SLOTS;
    const mark = hash.readUInt32LE(4);
    const word = (BigInt(mark) << 32n) | BigInt(untilSeconds >>> 0);
    for (;;) {
      const free = this.#find(start, mark, nowSeconds);
      if (free === SEEN || free === FULL) return free === SEEN ? 'seen' : 'full';
      const at = (start + free.place) % SLOTS;
      if (Atomics.compareExchange(this.#slots, at, free.word, word) !== free.word) continue;
      // Another worker may have put the same one elsewhere meanwhile, as a slot expired between the two looks: the first place counts.
      return this.#standsBefore(start, free.place, mark, nowSeconds) ? 'seen' : 'new';
    }
  }

  #find(start: number, mark: number, nowSeconds: number): Free | typeof SEEN | typeof FULL {
    let free: Free | typeof FULL = FULL;
    for (let place = 0; place < WINDOW; place++) {
      const word = Atomics.load(this.#slots, (start + place) % SLOTS);
      if (expired(word, nowSeconds)) {
        if (free === FULL) free = { place, word };
      } else if (Number(word >> 32n) === mark) return SEEN;
    }
    return free;
  }

  #standsBefore(start: number, end: number, mark: number, nowSeconds: number): boolean {
    for (let place = 0; place < end; place++) {
      const word = Atomics.load(this.#slots, (start + place) % SLOTS);
      if (!expired(word, nowSeconds) && Number(word >> 32n) === mark) return true;
    }
    return false;
  }
}

interface Free {
  readonly place: number;
  readonly word: bigint;
}
const SEEN = 'seen';
const FULL = 'full';

function expired(word: bigint, nowSeconds: number): boolean {
  return Number(word & 0xffff_ffffn) <= nowSeconds;
}
