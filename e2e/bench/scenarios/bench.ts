/** What every scenario is given. */
import type { Programs } from '../programs.ts';

export interface Bench {
  readonly programs: Programs;
  /** A folder of this run; removed at its end. */
  readonly dir: string;
  readonly binaries: ReadonlyMap<string, string>;
  /** The proxy under measurement has this CPU to itself. */
  readonly proxyCore: number;
  /** Load generator, backend and everything else share this one. */
  readonly loadCore: number;
  /** Measured turns a peer. */
  readonly runs: number;
  /** Short form for CI: shows that everything runs; its figures mean little. */
  readonly quick: boolean;
  /** A table or a finding, on stdout. */
  readonly print: (text: string) => void;
  /** Aborted when the run is interrupted. */
  readonly signal: AbortSignal;
  /** Registers what has to be stopped at the end of the run, however it ends; it may be stopped already. */
  readonly atEnd: (stop: () => Promise<void>) => void;
  /** What is happening, on stderr. */
  readonly progress: (text: string) => void;
}
