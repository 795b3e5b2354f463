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
  const length = numbers.reduce((total, number) => total + number, 0);
  const places: Places = { hashes: new Uint32Array(length), owners: new Int32Array(length) };
  let filled = 0;
  candidates.forEach(({ name }, owner) => {
    const first = hashText(name);
    for (let i = 0; i < (numbers[owner] as number); i++) {
      places.hashes[filled] = mix(first + Math.imul(i, 0x9e3779b9));
      places.owners[filled++] = owner;
    }
  });
  const ring = sorted(places);
  return createRing(ring.owners, count, createSearch(ring), bound);
}

interface Places {
  readonly hashes: Uint32Array;
  readonly owners: Int32Array;
}

interface Ring extends Places {
  /** Of all places with the same upper bits, where the first one is. */
  readonly starts: Uint32Array;
  /** By how much to shift a hash for its upper bits. */
  readonly shift: number;
}

/**
 * By hash, of equal ones by owner: into buckets by the upper bits, of which there are about as many as places, and in each, which then holds one or two, by
 * insertion.
 */
function sorted({ hashes, owners }: Places): Ring {
  const { length } = hashes;
  const bits = Math.min(16, Math.max(1, Math.floor(Math.log2(length))));
  const shift = 32 - bits;
  const starts = new Uint32Array(2 ** bits + 1);
  for (const hash of hashes) starts[(hash >>> shift) + 1] = (starts[(hash >>> shift) + 1] as number) + 1;
  for (let bucket = 1; bucket < starts.length; bucket++) {
    starts[bucket] = (starts[bucket] as number) + (starts[bucket - 1] as number);
  }
  const ring: Ring = { hashes: new Uint32Array(length), owners: new Int32Array(length), starts, shift };
  const ends = starts.slice();
  for (let i = 0; i < length; i++) {
    const hash = hashes[i] as number;
    const bucket = hash >>> shift;
    const start = starts[bucket] as number;
    let at = ends[bucket] as number;
    ends[bucket] = at + 1;
    // Owners come in ascending order, so equal hashes are in order already.
    for (; at > start && (ring.hashes[at - 1] as number) > hash; at--) {
      ring.hashes[at] = ring.hashes[at - 1] as number;
      ring.owners[at] = ring.owners[at - 1] as number;
    }
    ring.hashes[at] = hash;
    ring.owners[at] = owners[i] as number;
  }
  return ring;
}

/** The first place at or above a key, or the first of all. */
function createSearch({ hashes, starts, shift }: Ring): (key: number) => number {
  const { length } = hashes;
  return (key) => {
    let place = starts[key >>> shift] as number;
    while (place < length && (hashes[place] as number) < key) place++;
    return place === length ? 0 : place;
  };
}
