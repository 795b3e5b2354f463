/** Walking a ring of places, each an endpoint's: what Maglev's table and the hash ring have in common. */
import { type Balancer, unmarkedAfter } from './balancer.ts';
import type { LoadBound } from './bounded-load.ts';

/** Places looked at for an endpoint with room. */
const WALK = 512;

/** `owners[place]` is an index below `count` (at least 1); `placeOf` says where a key falls. */
export function createRing(
  owners: Uint16Array | Int32Array,
  count: number,
  placeOf: (key: number) => number,
  bound: LoadBound | null,
): Balancer {
  const { length } = owners;
  return {
    pick: (key) => {
      let place = placeOf(key);
      const own = owners[place] as number;
      if (bound === null || bound.hasRoom(own)) return own;
      for (let i = 1; i < WALK; i++) {
        place = place + 1 === length ? 0 : place + 1;
        const index = owners[place] as number;
        if (index !== own && bound.hasRoom(index)) return index;
      }
      return bound.idlest();
    },
    another: (key, marked) => {
      let place = placeOf(key);
      const own = owners[place] as number;
      // All the way round at most, and seldom far: neighbours are seldom the same.
      for (let i = 0; i < length; i++) {
        const index = owners[place] as number;
        if (marked[index] === 0 && (bound === null || bound.hasRoom(index))) return index;
        place = place + 1 === length ? 0 : place + 1;
      }
      return unmarkedAfter(own, count, marked);
    },
  };
}
