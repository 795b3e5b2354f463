/**
 * A data plane's share of a global limit, without a store: it is number `place` of `of` live data planes and takes an equal part. Both are one
 * word of shared memory, so a worker reads them together, and a change costs a request nothing.
 *
 * Whole units are shared out without loss: in turn k the data plane has floor((limit × (place + 1) + s) / of) − floor((limit × place + s) / of)
 * with s = k mod of. Over all places that sums to exactly `limit` in each turn, and over `of` turns each place has had exactly `limit`: a
 * limit smaller than the number of data planes goes round instead of rounding to 0 for ever.
 */
export interface Share {
  /** From 0. */
  readonly place: number;
  /** At least 1, at most MAX_DATA_PLANES. */
  readonly of: number;
}

export const MAX_DATA_PLANES = 32_767;
/** The whole limit: word of {place: 0, of: 1}. */
export const WHOLE = 1;

export function packShare({ place, of }: Share): number {
  return (place << 16) | of;
}

export function unpackShare(word: number): Share {
  return { place: word >>> 16, of: word & 0xffff };
}

/** False for what no controller sends: a share out of bounds must not become a free pass. */
export function isShare({ place, of }: Share): boolean {
  return (
    Number.isInteger(place) && Number.isInteger(of) && of >= 1 && of <= MAX_DATA_PLANES && place >= 0 && place < of
  );
}

/** Whole units of `limit` (at most 1e9) for the holder of `word` in turn `turn`. */
export function portionOf(limit: number, word: number, turn: number): number {
  const of = word & 0xffff;
  if (of === 1) return limit;
  const place = word >>> 16;
  const shift = turn % of;
  const from = limit * place + shift;
  return Math.floor((from + limit) / of) - Math.floor(from / of);
}
