/** Surroundings for runtimes whose stages need nothing from outside: tests and benchmarks. */
import type { StageSurroundings } from './deps.ts';

export const QUIET_STAGES: StageSurroundings = {
  epochMs: () => 0,
  services: {},
  counter: () => ({ value: 0 }),
  onTroubles: () => {},
};
