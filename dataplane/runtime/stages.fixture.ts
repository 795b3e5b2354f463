/** Surroundings for runtimes whose stages need nothing from outside: tests and benchmarks. */
import { limitStoresFixture } from '../limit/stores.fixture.ts';
import { Outbound } from '../outbound/outbound.ts';
import { PasswordChecker } from '../passwords/checker.ts';
import type { StageSurroundings } from './deps.ts';

export const QUIET_STAGES: StageSurroundings = {
  epochMs: () => 0,
  services: { http: new Outbound(), limits: limitStoresFixture(), passwords: new PasswordChecker(), redis: null },
  counter: () => ({ value: 0 }),
  onTroubles: () => {},
};
