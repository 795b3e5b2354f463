/** A context for stages in tests and benchmarks: time stands at 0, secrets and credentials are those given. */
import { limitStoresFixture } from '../limit/stores.fixture.ts';
import { Outbound } from '../outbound/outbound.ts';
import { PasswordChecker } from '../passwords/checker.ts';
import { createOverload } from '../shedding/overload.ts';
import type { CredentialsResource } from '../snapshot/credentials.ts';
import { sessionsFixture } from '../store/sessions/sessions.fixture.ts';
import { NONCES_BYTES, SharedNonces } from '../store/shared-nonces.ts';
import { StageCounters } from '../telemetry/stage-counters.ts';
import type { StageContext } from './context.ts';
import { Secret } from './secret.ts';

export interface ContextFixture extends StageContext {
  readonly counters: StageCounters;
  /** As last said. */
  readonly said: { trouble: string | null };
}

export interface ContextParts extends Partial<StageContext> {
  readonly secrets?: Readonly<Record<string, string>>;
  readonly consumers?: readonly CredentialsResource[];
}

export function contextFixture({ secrets = {}, consumers = [], ...more }: ContextParts = {}): ContextFixture {
  const counters = new StageCounters();
  const said: { trouble: string | null } = { trouble: null };
  return {
    policy: 'policy/test/policy/section',
    now: () => 0,
    epochMs: () => 1_700_000_000_000,
    random: () => 0,
    setTimer: () => () => {},
    secret: (id) => (secrets[id] === undefined ? undefined : new Secret(Buffer.from(secrets[id]))),
    credentials: (id) => consumers.find((one) => one.id === id),
    previous: null,
    trouble: (message) => {
      said.trouble = message;
    },
    counter: (name, labels) => counters.counter(name, labels),
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
    counters,
    said,
    ...more,
  };
}
