/** What the limiters of one worker share. */
import { CLASS_MASK } from './layout.ts';
import { WHOLE } from './share.ts';
import type { LimitTable } from './table.ts';

export interface LimitSurroundings {
  readonly table: LimitTable;
  /** ms, the same for all workers; above 0. */
  readonly now: () => number;
  /** ms since the epoch when `now` was 0. */
  readonly epochMs: number;
  /** One word, see share.ts. */
  readonly share: Int32Array;
  readonly worker: number;
  readonly workers: number;
}

/** For limits that are not shared out. */
export const NOT_SHARED = Int32Array.of(WHOLE);

/** The high half of a key with its class in the lowest bits. */
export function classed(hi: number, kind: number): number {
  return (hi & ~CLASS_MASK) | kind;
}
