/** What a stage is made with: its configuration's surroundings, injected so that tests give their own. */
import type { Stage } from '../pipeline/chain.ts';
import type { CredentialsResource } from '../snapshot/credentials.ts';
import type { Counter } from '../telemetry/stage-counters.ts';
import type { Secret } from './secret.ts';
import type { Services } from './services.ts';

export interface StageContext {
  /** Id of the policy resource: `policy/<namespace>/<name>/<section>`. */
  readonly policy: string;
  /** ms, monotonic. */
  readonly now: () => number;
  /** ms since the epoch. */
  readonly epochMs: () => number;
  /** At least 0, less than 1. */
  readonly random: () => number;
  /** Runs `run` after `delayMs` unless what it returns is called before. */
  readonly setTimer: (run: () => void, delayMs: number) => () => void;
  /** Undefined: it was not sent. */
  readonly secret: (id: string) => Secret | undefined;
  readonly credentials: (id: string) => CredentialsResource | undefined;
  /** The stage this one takes the place of, to carry over what it knows (limiter state, verified tokens). */
  readonly previous: Stage | null;
  /**
   * Says that the stage runs but can't do its work (an identity provider that does not answer): it shows in the Policy's status as long
   * as it holds. Null: all is well again.
   */
  readonly trouble: (message: string | null) => void;
  /** A series of `tidegate_<name>_total` with the policy's name and these labels; keep it, and add to its `value`. */
  readonly counter: (name: string, labels: Readonly<Record<string, string>>) => Counter;
  readonly services: Services;
}
