/** How much of the requests each priority gets, as Envoy's priority levels: docs "Priority levels" and "Overprovisioning factor". Pure. */

/** A tier carries all its requests until less than 1 / 1.4 = 71 % of it serves. */
export const OVERPROVISIONING = 1.4;

export interface Tier {
  /** Weight of all its endpoints, and of those that serve. */
  readonly all: number;
  readonly serving: number;
}

/**
 * In order of priority; the shares sum to 1, or are all 0 where nothing serves. A tier gets what its serving share × 1.4 can carry of what the ones
 * before it leave; where all together can't carry everything, each gets in proportion to what it can.
 */
export function tierShares(tiers: readonly Tier[]): number[] {
  const carries = tiers.map(({ all, serving }) => (all === 0 ? 0 : Math.min(1, (OVERPROVISIONING * serving) / all)));
  const total = carries.reduce((sum, one) => sum + one, 0);
  if (total === 0) return carries;
  if (total < 1) return carries.map((one) => one / total);
  let left = 1;
  return carries.map((one) => {
    const share = Math.min(one, left);
    left -= share;
    return share;
  });
}
