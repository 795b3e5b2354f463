/** What a login is made of, put together; shared by a worker's methods of the same configuration. */
import type { MethodConfig } from '../../../snapshot/sections/authentication.ts';
import type { SessionStore } from '../../../store/sessions/session-store.ts';
import type { StageContext } from '../../context.ts';
import type { Secret } from '../../secret.ts';
import { StageError } from '../../stage-error.ts';
import type { Vouched } from '../method.ts';
import { createClaimReader } from '../tokens/claims.ts';
import { clientSecretOf } from '../tokens/oauth-client.ts';
import { CookieKeeper, StoreKeeper } from './keeper.ts';
import { Provider } from './provider.ts';
import { Sealer } from './sealer.ts';
import type { Session } from './session.ts';
import { Sessions } from './sessions.ts';

export interface OidcParts {
  readonly provider: Provider;
  /** Of logins under way. */
  readonly sealer: Sealer;
  readonly sessions: Sessions;
  close(): void;
}

export interface OidcSecrets {
  readonly client: Secret;
  readonly keys: readonly Secret[];
}

const MIN_KEY_BYTES = 32;

/** Throws StageError. */
export function readSecrets(config: MethodConfig<'oidc'>, context: StageContext, field: string): OidcSecrets {
  const keys = config.session.keys.map((id, index) => {
    const where = `${field}.session.keys[${index}]`;
    const secret = context.secret(id);
    if (secret === undefined) throw new StageError(where, `there is no ${id}, or it was rejected`);
    if (secret.bytes().length < MIN_KEY_BYTES)
      throw new StageError(where, `${id} has fewer than ${MIN_KEY_BYTES} bytes`);
    return secret;
  });
  return { client: clientSecretOf(config.client, context, `${field}.client`), keys };
}

/** Throws StageError where there is no such store. */
export function createParts(
  config: MethodConfig<'oidc'>,
  secrets: OidcSecrets,
  context: StageContext,
  field: string,
): OidcParts {
  const { now, epochMs, random, services } = context;
  const { issuer, client, session, timeoutMs } = config;
  const sealer = (what: string) =>
    new Sealer({ secrets: secrets.keys, purpose: `${what} ${client.id} ${issuer}`, epochMs });
  const sessionSealer = sealer(`session ${session.cookieName}`);
  const store = session.store === 'cookie' ? null : storeOf(session.store, context, field);
  const keeper = store === null ? new CookieKeeper(sessionSealer) : new StoreKeeper(store, sessionSealer, epochMs);
  const provider = new Provider(config, { http: services.http, clientSecret: secrets.client, now, epochMs, random });
  return {
    provider,
    sealer: sealer('login'),
    sessions: new Sessions({
      keeper,
      provider,
      vouch: createVouch(config),
      epochMs,
      timeoutMs,
      maxAgeMs: session.maxAgeMs,
      keepAccessToken: config.forwardAccessToken,
    }),
    close: () => provider.close(),
  };
}

function storeOf(kind: 'memory' | 'redis', { services }: StageContext, field: string): SessionStore {
  const store = services.sessions[kind];
  if (store === null)
    throw new StageError(`${field}.session.store`, 'this data plane has no Redis: set TIDEGATE_REDIS_URL');
  return store;
}

function createVouch(config: MethodConfig<'oidc'>): (session: Session) => Vouched | null {
  const read = createClaimReader(config, config.name);
  return ({ claims, accessToken }) => {
    const vouched = read(claims);
    if (vouched === null || accessToken === undefined) return vouched;
    return { ...vouched, fields: [...vouched.fields, 'authorization', `Bearer ${accessToken}`] };
  };
}
