import type { LatencyMeter } from './latency-meter.ts';

/** What a balancer knows of an endpoint. */
export interface Candidate {
  /** `address:port`: what consistent hashes place it by. */
  readonly name: string;
  /** Requests in flight now. */
  readonly active: number;
  /** Only where the algorithm asks for it. */
  readonly latency: LatencyMeter | null;
}

/** Requests in flight at all candidates together. */
export interface Tally {
  active: number;
}

/** Chooses among the candidates it was made for, by index. Knows no I/O; time only through what its candidates know. */
export interface Balancer {
  /** -1 where there is none. `key` is the hash of what decides (uint32); those that don't hash pass over it. */
  pick(key: number): number;
  /** For a further attempt: one that is not marked (non-zero) in `marked`; -1 where all are. Consistent hashes go on to the next one. */
  another(key: number, marked: Uint8Array): number;
  /** How far the round is, from 0 to below 1; a later balancer goes on there. Only where there are rounds. */
  readonly position?: number;
}

/** Draws before the rest is searched in order. */
const DRAWS = 4;

/** `another` of those that don't hash: a few draws, so that what one leaves is spread over all; then the first one free. */
export function redraw(pick: (key: number) => number, count: number, marked: Uint8Array): number {
  let index = 0;
  for (let i = 0; i < DRAWS; i++) {
    index = pick(0);
    if (index < 0 || marked[index] === 0) return index;
  }
  return unmarkedAfter(index, count, marked);
}

export function unmarkedAfter(index: number, count: number, marked: Uint8Array): number {
  for (let i = 1; i <= count; i++) {
    const at = (index + i) % count;
    if (marked[at] === 0) return at;
  }
  return -1;
}
