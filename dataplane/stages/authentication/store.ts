/** What the methods that ask the credential store have in common. */
import { NO_CLAIMS } from '../../pipeline/identity.ts';
import type { Credentials } from '../../store/credentials/credentials.ts';
import type { Consumer } from '../../store/credentials/store.ts';
import type { StageContext } from '../context.ts';
import { StageError } from '../stage-error.ts';
import type { Finding, Vouched } from './method.ts';

export const STORE_AWAY: Finding = {
  kind: 'unavailable',
  code: 'credentials-unavailable',
  detail: 'Credentials can not be checked right now.',
};

/** Null where the method asks for none. Throws StageError where there is none to ask. */
export function storeOf(config: { readonly store: boolean }, context: StageContext, field: string): Credentials | null {
  if (!config.store) return null;
  const { credentials } = context.services;
  if (credentials !== null) return credentials;
  throw new StageError(
    `${field}.store`,
    'this data plane has no credential store: set TIDEGATE_CREDENTIALS to sqlite:PATH or a mysql:// URL (chart: dataplane.credentials.secretName)',
  );
}

/** One object a consumer as it was read, so that nothing is made anew a request. */
export function vouchedFor(method: string): (consumer: Consumer) => Vouched {
  const made = new WeakMap<Consumer, Vouched>();
  return (consumer) => {
    let vouched = made.get(consumer);
    if (vouched === undefined) {
      const { name, groups } = consumer;
      vouched = {
        kind: 'vouched',
        identity: { consumer: name, groups, scopes: [], claims: NO_CLAIMS, method },
        fields: [],
      };
      made.set(consumer, vouched);
    }
    return vouched;
  };
}
