/** What the supervisor says of itself: for readiness, metrics and /debug/config. */
import type { Share } from '../limit/share.ts';
import type { Rejection } from '../snapshot/decode.ts';

/** Where the snapshot that is served came from. */
export type Origin = 'none' | 'controller' | 'last-good';

export interface SupervisorState {
  readonly ready: boolean;
  /** Why not; empty when ready. */
  readonly reason: string;
  readonly draining: boolean;
  readonly connected: boolean;
  /** Address of the controller, or the last failure. */
  readonly controller: string;
  readonly revision: string;
  readonly origin: Origin;
  readonly resources: number;
  readonly rejected: readonly Rejection[];
  /** ms since the epoch, 0: never. */
  readonly appliedAtMs: number;
  readonly lastApplyMs: number;
  /** Since a controller last stood behind what is served, ms; 0 while one does. */
  readonly staleMs: number;
  /** ms since the epoch, 0: never. */
  readonly lastGoodSavedAtMs: number;
  readonly lastGoodFailures: number;
  /** Of limits for all data planes together. */
  readonly limitShare: Share;
  readonly workers: number;
  readonly workersListening: number;
  readonly workerRestarts: number;
}
