/**
 * Peak EWMA with the power of two choices (Finagle): two different candidates are drawn in proportion to their weights; the other is taken
 * where what it has to do, latency × (requests in flight per weight + 1), is clearly less. Alike ones share in proportion to their weights.
 *
 * An endpoint of which nothing is known is asked at once, by one request; the next follow when that is answered, or where all others drawn
 * are as unknown.
 */
import { type Balancer, type Candidate, redraw } from './balancer.ts';
import { createSampler } from './sampler.ts';

const DRAWS = 4;
/** Of the first one's load: above it the two are alike, and the first drawn is taken. Otherwise noise would even weights out. */
const CLEARLY_LESS = 0.8;
/** Latency of an endpoint that was asked and has not answered yet, ms: longer than any known one. */
const UNKNOWN_MS = 1e9;

/** `random` gives numbers from 0 to below 1; `now` is the time of the candidates' meters. */
export function createPeakEwma(
  candidates: readonly Pick<Candidate, 'active' | 'latency'>[],
  weights: readonly number[],
  random: () => number,
  now: () => number,
): Balancer {
  const count = candidates.length;
  if (count < 2) return { pick: () => count - 1, another: (_key, marked) => (marked[0] === 0 ? count - 1 : -1) };
  const draw = createSampler(weights, random);
  const mean = weights.reduce((total, weight) => total + weight, 0) / count;
  const perRequest = Float64Array.from(weights, (weight) => mean / weight);
  const load = (index: number, nowMs: number): number => {
    const { active, latency } = candidates[index] as Candidate;
    const knownMs = latency === null ? 0 : latency.at(nowMs, active);
    if (knownMs === 0 && active === 0) return 0;
    return (knownMs === 0 ? UNKNOWN_MS : knownMs) * (active * (perRequest[index] as number) + 1);
  };
  const pick = (): number => {
    const one = draw();
    let other = count === 2 ? 1 - one : draw();
    for (let i = 0; i < DRAWS && other === one; i++) other = draw();
    const nowMs = now();
    return load(other, nowMs) < load(one, nowMs) * CLEARLY_LESS ? other : one;
  };
  return { pick, another: (_key, marked) => redraw(pick, count, marked) };
}
