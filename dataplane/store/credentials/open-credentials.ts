/** The credential store of a worker, as its operator sets it. Opens nothing yet. */
import type { Counter } from '../../telemetry/stage-counters.ts';
import { CREDENTIAL_LIMITS, Credentials } from './credentials.ts';
import { describeStoreLocation, readStoreLocation } from './location.ts';

export interface CredentialsSetup {
  /** As readStoreLocation takes it; may hold a password. */
  readonly location: string;
  /** See CredentialLimits. */
  readonly staleForMs: number;
}

export function openCredentials(
  setup: CredentialsSetup,
  counter: (name: string, labels: Readonly<Record<string, string>>) => Counter,
): Credentials {
  const location = readStoreLocation(setup.location);
  if (location === null) throw new TypeError('the location of the credential store was not checked');
  return new Credentials({
    address: describeStoreLocation(location),
    open: async () => (await import('./open.ts')).openCredentialStore(location, CREDENTIAL_LIMITS.timeoutMs),
    counter,
    limits: { staleForMs: setup.staleForMs },
  });
}
