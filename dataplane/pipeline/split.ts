/** Which share of a weighted split a request falls to: at random, or by the hash of a header or cookie, so that one user stays at one version. */

import type { Split } from '../snapshot/shaping.ts';
import type { Exchange } from './exchange.ts';
import { parseCookies } from './values.ts';

/** At least 0, less than 1: shares lie along it in the order they are listed. */
export type SplitPoint = (exchange: Exchange) => number;

/**
 * A value's point never moves, so when weight is shifted only the users between the old border and the new one change their version.
 * `salt` keeps the same users from being the first ones everywhere. Requests without the value are split at random.
 */
export function createSplit(split: Split | undefined, salt: string, random: () => number): SplitPoint {
  if (split === undefined) return random;
  const { by, name } = split;
  const seed = fnv1a(salt, OFFSET);
  return (exchange) => {
    const value = by === 'header' ? exchange.headers.get(name) : parseCookies(exchange.headers).get(name);
    return value === undefined || value === '' ? random() : finish(fnv1a(value, seed)) / 2 ** 32;
  };
}

const OFFSET = 0x811c9dc5;

/** FNV-1a, 32 bits, over the characters' codes. */
function fnv1a(text: string, seed: number): number {
  let hash = seed;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash;
}

/** MurmurHash3's finaliser: the last characters reach all bits. Not negative. */
function finish(hash: number): number {
  let h = hash;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
