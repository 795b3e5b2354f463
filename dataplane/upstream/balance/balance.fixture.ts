/** Endpoints without sockets, a repeatable source of numbers, and counting. */
import type { Balancer, Candidate } from './balancer.ts';
import type { LatencyMeter } from './latency-meter.ts';

export interface TestEndpoint extends Candidate {
  active: number;
  latency: LatencyMeter | null;
}

/** 10.0.0.0:80, 10.0.0.1:80 and so on, in the order a snapshot has them. */
export function endpoints(count: number): TestEndpoint[] {
  return Array.from({ length: count }, (_, i) => ({
    name: `10.0.${i >> 8}.${i & 255}:80`,
    active: 0,
    latency: null,
  }));
}

/** From 0 to below 1 (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** How often each of `length` is picked. */
export function counts({ pick }: Balancer, length: number, picks: number): number[] {
  const out = new Array<number>(length).fill(0);
  for (let i = 0; i < picks; i++) {
    const index = pick(0);
    out[index] = (out[index] as number) + 1;
  }
  return out;
}

export const sum = (numbers: readonly number[]): number => numbers.reduce((total, one) => total + one, 0);

/** Each count lies within five standard deviations of its binomial share. */
export function deviations(found: readonly number[], weights: readonly number[]): number {
  const picks = sum(found);
  const worst = found.map((count, i) => {
    const share = (weights[i] as number) / sum(weights);
    return Math.abs(count - picks * share) / Math.sqrt(picks * share * (1 - share));
  });
  return Math.max(...worst);
}
