/**
 * Weighted round-robin in which nobody is ever a whole request ahead of or behind its share: after t picks of a round (as many picks as the sum W
 * of the weights) an endpoint of weight w was chosen t × w / W times, give or take less than 1; after the round, exactly w times.
 *
 * That is the schedule of Tijdeman's chairman assignment problem (1980), found by earliest deadline first: the k-th request of an endpoint has its
 * place in the slots from ⌊(k - 1) × W / w⌋ to below ⌈k × W / w⌉ (the windows of Pfair scheduling, Baruah et al. 1996). O(log n) a pick; O(1) where
 * all weights are equal. nginx's smooth form costs O(n).
 *
 * Further attempts go round for themselves: were they picks of the round, an endpoint that fails would get its share of the repeats that it causes
 * as well.
 */
import { type Balancer, redraw, unmarkedAfter } from './balancer.ts';
import { IndexHeap } from './index-heap.ts';
import { wholeWeights } from './whole-weights.ts';

/** `start`: where in the round to begin, from 0 to below 1. */
export function createRoundRobin(weights: readonly number[], start = 0): Balancer {
  const count = weights.length;
  if (count === 0) return { pick: () => -1, another: () => -1 };
  if (weights.every((weight) => weight === weights[0])) return inTurn(count, start);
  const whole = wholeWeights(weights);
  const round = new Round(whole, start);
  let further: Round | null = null;
  return {
    pick: () => round.next(),
    another: (_key, marked) => {
      further ??= new Round(whole, start);
      return redraw(further.next.bind(further), count, marked);
    },
    get position() {
      return round.position;
    },
  };
}

function inTurn(count: number, start: number): Balancer {
  // Rounded, as 1/3 of 3 may be a little less than 1.
  let next = Math.round(start * count) % count;
  let further = next;
  return {
    pick: () => {
      const index = next;
      next = index + 1 === count ? 0 : index + 1;
      return index;
    },
    another: (_key, marked) => {
      further = unmarkedAfter(further, count, marked);
      if (further < 0) further = next;
      return marked[further] === 0 ? further : -1;
    },
    get position() {
      return next / count;
    },
  };
}

class Round {
  readonly #weights: Float64Array;
  readonly #sum: number;
  /** Picks of this round, each. */
  readonly #done: Float64Array;
  /** Slots of each one's next request: from, and before. */
  readonly #release: Float64Array;
  readonly #deadline: Float64Array;
  /** Those whose slots have begun, by deadline; those whose slots have not, by release. */
  readonly #ready: IndexHeap;
  readonly #later: IndexHeap;
  #slot = 0;

  constructor(weights: Float64Array, start: number) {
    this.#weights = weights;
    this.#sum = weights.reduce((total, weight) => total + weight, 0);
    this.#done = new Float64Array(weights.length);
    this.#release = new Float64Array(weights.length);
    this.#deadline = new Float64Array(weights.length);
    this.#ready = new IndexHeap(this.#deadline);
    this.#later = new IndexHeap(this.#release);
    this.#begin(Math.round(start * this.#sum) % this.#sum);
  }

  get position(): number {
    return this.#slot / this.#sum;
  }

  next(): number {
    const ready = this.#ready;
    const later = this.#later;
    while (later.first <= this.#slot) ready.push(later.pop());
    const index = ready.pop();
    this.#slot++;
    this.#done[index] = (this.#done[index] as number) + 1;
    if (this.#slot === this.#sum) this.#begin(0);
    else this.#wait(index);
    return index;
  }

  /** As if `slot` picks had been made: each its share, rounded, by the largest remainders. */
  #begin(slot: number): void {
    this.#slot = slot;
    this.#ready.clear();
    this.#later.clear();
    let rest = slot;
    const remainders: { index: number; remainder: number }[] = [];
    this.#weights.forEach((weight, index) => {
      const whole = Math.floor((slot * weight) / this.#sum);
      this.#done[index] = whole;
      rest -= whole;
      if (slot > 0) remainders.push({ index, remainder: (slot * weight) % this.#sum });
    });
    remainders.sort((a, b) => b.remainder - a.remainder || a.index - b.index);
    for (const { index } of remainders.slice(0, rest)) this.#done[index] = (this.#done[index] as number) + 1;
    for (let index = 0; index < this.#weights.length; index++) this.#wait(index);
  }

  #wait(index: number): void {
    const done = this.#done[index] as number;
    const weight = this.#weights[index] as number;
    if (done >= weight) return;
    const release = Math.floor((done * this.#sum) / weight);
    this.#release[index] = release;
    this.#deadline[index] = Math.ceil(((done + 1) * this.#sum) / weight);
    if (release <= this.#slot) this.#ready.push(index);
    else this.#later.push(index);
  }
}
