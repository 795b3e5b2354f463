/** Surroundings for runtimes whose stages need nothing from outside: tests and benchmarks. */
import { limitStoresFixture } from '../limit/stores.fixture.ts';
import { Outbound } from '../outbound/outbound.ts';
import { PasswordChecker } from '../passwords/checker.ts';
import { createOverload } from '../shedding/overload.ts';
import { sessionsFixture } from '../store/sessions/sessions.fixture.ts';
import { NONCES_BYTES, SharedNonces } from '../store/shared-nonces.ts';
import type { StageSurroundings } from './deps.ts';

export const QUIET_STAGES: StageSurroundings = {
  epochMs: () => 0,
  services: {
    credentials: null,
    http: new Outbound(),
    limits: limitStoresFixture(),
    nonces: new SharedNonces(new SharedArrayBuffer(NONCES_BYTES)),
    overload: createOverload(),
    passwords: new PasswordChecker(),
    redis: null,
    sessions: sessionsFixture(),
  },
  counter: () => ({ value: 0 }),
  shedding: null,
  onTroubles: () => {},
};
