/** Resident memory over time, and whether it grows. */

export interface Sample {
  readonly minute: number;
  readonly mib: number;
}

export interface Verdict {
  /** Rise of the line fitted to all samples since warm-up, over that time, MiB. */
  readonly fittedMib: number;
  /** Median of the last quarter less that of the first quarter since warm-up, MiB. */
  readonly quartersMib: number;
  /** What either may be at most, MiB. */
  readonly boundMib: number;
  readonly flat: boolean;
}

/** Half as long as the run where that is short. The heap's young generation and the pools of buffers reach their size in it. */
export const WARM_UP_MINUTES = 2;

/**
 * The bound: 5 % of what was resident after warm-up. Between two collections a worker's memory goes up and down by as much. A leak of one small object (48 bytes) a request
 * would make 60 MiB of ten minutes with 3,000 requests a second, eight times the bound. Both the line and the quarters have to exceed it: a line alone is
 * bent by one outlier at an end, medians alone by one step in the middle.
 */
const BOUND_SHARE = 0.05;

/** `minutes`: of the whole run. Throws with fewer than eight samples since warm-up. */
export function verdictOn(samples: readonly Sample[], minutes: number): Verdict {
  const from = Math.min(WARM_UP_MINUTES, minutes / 2);
  const kept = samples.filter(({ minute }) => minute >= from);
  if (kept.length < 8) throw new Error(`${kept.length} samples since minute ${from}: too few`);
  const quarter = Math.floor(kept.length / 4);
  const middle = (some: readonly Sample[]): number => {
    const sorted = some.map(({ mib }) => mib).sort((a, b) => a - b);
    return sorted[Math.floor(sorted.length / 2)] as number;
  };
  const first = middle(kept.slice(0, quarter));
  const boundMib = first * BOUND_SHARE;
  const fittedMib = slope(kept) * ((kept.at(-1) as Sample).minute - (kept[0] as Sample).minute);
  const quartersMib = middle(kept.slice(-quarter)) - first;
  return { fittedMib, quartersMib, boundMib, flat: Math.min(fittedMib, quartersMib) <= boundMib };
}

/** MiB a minute, by least squares. */
function slope(samples: readonly Sample[]): number {
  const mean = (pick: (sample: Sample) => number) => samples.reduce((sum, one) => sum + pick(one), 0) / samples.length;
  const minute = mean((one) => one.minute);
  const mib = mean((one) => one.mib);
  let over = 0;
  let under = 0;
  for (const one of samples) {
    over += (one.minute - minute) * (one.mib - mib);
    under += (one.minute - minute) ** 2;
  }
  return over / under;
}
