/** What holds for every consistent hash, with its own bounds. */
import type { Balancer } from './balancer.ts';
import { hashText } from './hash.ts';

export const KEYS: readonly number[] = Array.from({ length: 50_000 }, (_, i) => hashText(`user-${i}`));

/** The largest and smallest of the endpoints' shares of the keys, each relative to its share of the weights. */
export function spread({ pick }: Balancer, weights: readonly number[]): { least: number; most: number } {
  const got = weights.map(() => 0);
  for (const key of KEYS) got[pick(key)] = (got[pick(key)] as number) + 1;
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const relative = got.map((count, i) => count / KEYS.length / ((weights[i] as number) / total));
  return { least: Math.min(...relative), most: Math.max(...relative) };
}

/** Of the keys of others than `lost` (an index before), the share that another endpoint has after it went. */
export function disruption(before: Balancer, after: Balancer, lost: number): number {
  let [kept, moved] = [0, 0];
  for (const key of KEYS) {
    const was = before.pick(key);
    if (was === lost) continue;
    kept++;
    const is = after.pick(key);
    if ((is < lost ? is : is + 1) !== was) moved++;
  }
  return moved / kept;
}
