/** Surroundings for runtimes whose stages need nothing from outside: tests and benchmarks. */
import { Outbound } from '../outbound/outbound.ts';
import type { StageSurroundings } from './deps.ts';

export const QUIET_STAGES: StageSurroundings = {
  epochMs: () => 0,
  services: { http: new Outbound(), redis: null },
  counter: () => ({ value: 0 }),
  onTroubles: () => {},
};
