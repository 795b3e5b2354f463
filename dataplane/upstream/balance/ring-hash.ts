/**
 * Consistent hashing on a ring (Karger et al. 1997) with many places an endpoint, as libketama: a key belongs to the next place at or above it.
 * When an endpoint goes, only its own keys move, to the ones that follow on the ring; when one comes, it takes keys and no others move.
 *
 * An endpoint has 160 places for each `unit` of weight, so its share varies by some 1/√160 = 8 % (one standard deviation).
 */
import type { Balancer, Candidate } from './balancer.ts';
import type { LoadBound } from './bounded-load.ts';
import { hashText, mix } from './hash.ts';
import { createRing } from './ring.ts';

export const PLACES = 160;
/** Of the whole ring; where it would be more, each has fewer. */
const MAX_PLACES = 262_144;
/** A place's hash and its owner in one double, so that sorting needs no comparator. */
const OWNERS = 2 ** 20;

/** `unit` is the mean weight of all the backend's endpoints, also of those that take no requests now. */
export function createRingHash(
  candidates: readonly Pick<Candidate, 'name'>[],
  weights: readonly number[],
  unit: number,
  bound: LoadBound | null,
): Balancer {
  const count = candidates.length;
  if (count === 0) return { pick: () => -1, another: () => -1 };
  const sum = weights.reduce((total, weight) => total + weight, 0);
  const perWeight = Math.min(PLACES / unit, MAX_PLACES / sum);
  const numbers = weights.map((weight) => Math.max(1, Math.round(weight * perWeight)));
  const places = new Float64Array(numbers.reduce((total, number) => total + number, 0));
  let filled = 0;
  candidates.forEach(({ name }, owner) => {
    const first = hashText(name);
    for (let i = 0; i < (numbers[owner] as number); i++) {
      places[filled++] = mix(first + Math.imul(i, 0x9e3779b9)) * OWNERS + owner;
    }
  });
  places.sort();
  const hashes = Uint32Array.from(places, (place) => Math.floor(place / OWNERS));
  const owners = Int32Array.from(places, (place) => place % OWNERS);
  return createRing(owners, count, createSearch(hashes), bound);
}

/** The first of the sorted `hashes` at or above a key, or the first of all. An index by the upper bits leaves few to look at. */
function createSearch(hashes: Uint32Array): (key: number) => number {
  const { length } = hashes;
  const bits = Math.min(16, Math.max(1, Math.floor(Math.log2(length))));
  const shift = 32 - bits;
  const starts = new Uint32Array(2 ** bits);
  let at = 0;
  for (let bucket = 0; bucket < starts.length; bucket++) {
    while (at < length && (hashes[at] as number) >>> shift < bucket) at++;
    starts[bucket] = at;
  }
  return (key) => {
    let place = starts[key >>> shift] as number;
    while (place < length && (hashes[place] as number) < key) place++;
    return place === length ? 0 : place;
  };
}
