/**
 * Maglev hashing (Eisenbud et al., NSDI 2016, section 3.4): each endpoint has its own order of the table's places, made of its name, and in turns
 * they take the next place of theirs that is free. A look-up is one read. Each endpoint holds its share of the places to within one turn; when one of n goes, its
 * places go to the others, and few of theirs change hands (bounds in maglev.test.ts).
 *
 * Weights: an endpoint takes part in a turn as often as its weight is of the heaviest one's (as in Envoy). One whose share is less than a
 * place, 1/65537, may get none.
 */
import type { Balancer, Candidate } from './balancer.ts';
import type { LoadBound } from './bounded-load.ts';
import { hashText } from './hash.ts';
import { createRing } from './ring.ts';

/** Prime, as the paper's small table: at 1,000 endpoints each has 65 places. 128 KiB. */
export const TABLE_SIZE = 65_537;
const FREE = 0xffff;

export function createMaglev(
  candidates: readonly Pick<Candidate, 'name'>[],
  weights: readonly number[],
  bound: LoadBound | null,
): Balancer {
  const count = candidates.length;
  if (count === 0) return { pick: () => -1, another: () => -1 };
  return createRing(populate(candidates, weights), count, (key) => key % TABLE_SIZE, bound);
}

function populate(candidates: readonly Pick<Candidate, 'name'>[], weights: readonly number[]): Uint16Array {
  // Not even a place for each: further ones get none.
  const count = Math.min(candidates.length, FREE);
  const table = new Uint16Array(TABLE_SIZE).fill(FREE);
  const place = new Int32Array(count);
  const skip = new Int32Array(count);
  for (let i = 0; i < count; i++) {
    const { name } = candidates[i] as Pick<Candidate, 'name'>;
    place[i] = hashText(name, 0x5bd1e995) % TABLE_SIZE;
    skip[i] = (hashText(name, 0x27d4eb2f) % (TABLE_SIZE - 1)) + 1;
  }
  const heaviest = Math.max(...weights);
  const credit = new Float64Array(count);
  const share = Float64Array.from(weights, (weight) => weight / heaviest);
  for (let filled = 0; ; ) {
    for (let i = 0; i < count; i++) {
      credit[i] = (credit[i] as number) + (share[i] as number);
      if ((credit[i] as number) < 1) continue;
      credit[i] = (credit[i] as number) - 1;
      let at = place[i] as number;
      const step = skip[i] as number;
      while (table[at] !== FREE) {
        at += step;
        if (at >= TABLE_SIZE) at -= TABLE_SIZE;
      }
      table[at] = i;
      place[i] = at;
      if (++filled === TABLE_SIZE) return table;
    }
  }
}
