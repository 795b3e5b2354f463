/**
 * Basic (RFC 7617): user and password against hashes of Kubernetes Secrets and the credential store. A credential seen before costs one
 * SHA-256 and two look-ups; a new one is verified off the event loop (passwords/checker.ts). An unknown user takes as long as a known one.
 */
import type { Pair } from '../../passwords/checker.ts';
import { NO_CLAIMS } from '../../pipeline/identity.ts';
import { readPasswordHash } from '../../snapshot/password-hash.ts';
import type { MethodConfig } from '../../snapshot/sections/authentication.ts';
import { AWAY, type Credentials } from '../../store/credentials/credentials.ts';
import type { StageContext } from '../context.ts';
import { StageError } from '../stage-error.ts';
import { readUserPass } from './basic/user-pass.ts';
import { ABSENT, type Finding, type Method, type Vouched } from './method.ts';
import { createPlaces, MAX_CREDENTIAL } from './places.ts';
import { STORE_AWAY, storeOf, vouchedFor } from './store.ts';

interface User {
  readonly hash: string;
  readonly vouched: Vouched;
}

/** Verified for users nobody knows where there are no others: what `tidegate credentials password set` makes. Nobody has its password. */
const DECOY = '$argon2id$v=19$m=19456,t=2,p=1$dGlkZWdhdGUtZGVjb3ktMQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA';

const UNKNOWN: Finding = {
  kind: 'refused',
  status: 401,
  code: 'basic-unknown',
  detail: 'This user and password are not known here.',
};
const MALFORMED: Finding = {
  kind: 'refused',
  status: 401,
  code: 'basic-malformed',
  detail: 'The Basic credential is not base64 of user:password in UTF-8 (RFC 7617).',
};
const BUSY: Finding = {
  kind: 'unavailable',
  code: 'basic-busy',
  detail: 'Too many passwords are being checked right now.',
};

export function create(config: MethodConfig<'basic'>, context: StageContext, field: string): Method {
  const { passwords } = context.services;
  const places = createPlaces([{ in: 'header', name: 'authorization', scheme: 'Basic' }]);
  const vouched = vouchedFor(config.name);
  const users = usersOf(config, context, field);
  const store = storeOf(config, context, field);
  const hashes = [...users.values()].map(({ hash }) => hash);

  /** `credential` is new, or what it was verified against is no longer so. */
  async function verify(credential: string): Promise<Finding> {
    const read = readUserPass(credential);
    if (read === null) return MALFORMED;
    const user = users.get(read.user) ?? (store === null ? null : await storedUser(store, read.user));
    if (user === AWAY) return STORE_AWAY;
    const hash = user?.hash ?? hashes[passwords.pick(read.user, hashes.length)] ?? DECOY;
    const verdict = await passwords.check(credential, read.password, { user: read.user, hash });
    if (verdict === 'busy') return BUSY;
    return verdict === 'right' && user !== null ? user.vouched : UNKNOWN;
  }

  async function storedUser(from: Credentials, name: string): Promise<User | null | typeof AWAY> {
    const found = await from.password(name);
    return found === null || found === AWAY ? found : { hash: found.hash, vouched: vouched(found) };
  }

  /** Undefined where it has to be verified, or looked up, first. */
  function known({ user: name, hash }: Pair): Vouched | undefined {
    const user = users.get(name);
    if (user !== undefined) return user.hash === hash ? user.vouched : undefined;
    const found = store?.password(name) ?? null;
    if (found === null || found === AWAY || found instanceof Promise) return undefined;
    return found.hash === hash ? vouched(found) : undefined;
  }

  return {
    name: config.name,
    challenge: `Basic realm="${config.realm}", charset="UTF-8"`,
    writes: [],
    strip: config.keepCredential ? null : places.strip,
    ...(store !== null && { close: store.watch(context.trouble) }),
    find(exchange) {
      const credential = places.find(exchange);
      if (credential === undefined) return ABSENT;
      if (credential.length > MAX_CREDENTIAL) return MALFORMED;
      const pair = passwords.remembered(credential);
      return (pair === undefined ? undefined : known(pair)) ?? verify(credential);
    },
  };
}

function usersOf(config: MethodConfig<'basic'>, context: StageContext, field: string): Map<string, User> {
  const users = new Map<string, User>();
  for (const [index, id] of config.credentials.entries()) {
    const resource = context.credentials(id);
    if (resource === undefined)
      throw new StageError(`${field}.credentials[${index}]`, `there is no ${id}, or it was rejected`);
    if (resource.entries.type !== 'basic')
      throw new StageError(`${field}.credentials[${index}]`, `${id} holds no users with passwords`);
    for (const { hash, consumer, groups } of resource.entries.users) {
      if (users.has(consumer)) continue;
      const problem = readPasswordHash(hash);
      if (typeof problem === 'string')
        throw new StageError(`${field}.credentials[${index}]`, `the password of ${consumer} ${problem}`);
      const identity = { consumer, groups, scopes: [], claims: NO_CLAIMS, method: config.name };
      users.set(consumer, { hash, vouched: { kind: 'vouched', identity, fields: [] } });
    }
  }
  return users;
}
