/**
 * The table's memory: sets of 16 slots, 576 bytes a set, in the order a look-up reads it.
 *
 *   0  lock (i32), unused (i32), watermarks of 7 classes (f64)
 *  64  16 × low half of the key's hash (i32)
 * 128  16 × high half, its lowest 6 bits the class
 * 192  16 × when it is fresh (f64, ms of the limit clock; +∞: not to be evicted; 0 with both halves 0: free)
 * 320  16 × first number (f64)
 * 448  16 × second number (f64)
 */
export const WAYS = 16;
export const SET_BYTES = 576;
/** Offsets within a set, in 32-bit words. */
export const SET_WORDS = SET_BYTES / 4;
export const LOW_WORDS = 16;
export const HIGH_WORDS = 32;
/** Offsets within a set, in 64-bit numbers. */
export const SET_NUMBERS = SET_BYTES / 8;
export const WATERMARK_NUMBERS = 0;
export const SLOT_NUMBERS = 24;

/** From a slot's place to its first and second number. */
export const FIRST = WAYS;
export const SECOND = 2 * WAYS;

/** Low bits of the high half that hold the class. */
export const CLASS_MASK = 63;
/** Classes 1 to 7 are rates by the length of their window; from here on concurrency, one for each group of workers. */
export const CONCURRENCY_CLASS = 8;
/** Workers whose counts share one slot. */
export const WORKERS_A_SLOT = 8;

/**
 * Limits whose windows differ by more than ten times do not share a watermark: an evicted key of a daily limit would else burden new keys of a
 * limit by the second for hours.
 */
export function classOfWindow(windowMs: number): number {
  const decade = Math.ceil(Math.log10(windowMs) - 1e-9) - 2;
  return Math.min(7, Math.max(1, decade));
}

/** Sets for as many keys, a power of two. */
export function setsFor(keys: number): number {
  return 2 ** Math.max(0, Math.ceil(Math.log2(keys / WAYS)));
}

export function tableBytes(sets: number): number {
  return sets * SET_BYTES;
}
