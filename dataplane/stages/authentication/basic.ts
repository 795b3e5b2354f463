/**
 * Basic (RFC 7617): user and password against hashes of Kubernetes Secrets and the credential store. A credential seen before costs one
 * SHA-256 and two look-ups; a new one is verified off the event loop (passwords/checker.ts). An unknown user takes as long as a known one.
 */
import { NO_CLAIMS } from '../../pipeline/identity.ts';
import { readPasswordHash } from '../../snapshot/password-hash.ts';
import type { MethodConfig } from '../../snapshot/sections/authentication.ts';
import type { StageContext } from '../context.ts';
import { StageError } from '../stage-error.ts';
import { readUserPass } from './basic/user-pass.ts';
import { ABSENT, type Finding, type Method, type Vouched } from './method.ts';
import { createPlaces, MAX_CREDENTIAL } from './places.ts';

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
  const users = usersOf(config, context, field);
  const hashes = [...users.values()].map(({ hash }) => hash);

  /** `credential` is new, or what it was verified against is no longer so. */
  async function verify(credential: string): Promise<Finding> {
    const read = readUserPass(credential);
    if (read === null) return MALFORMED;
    const user = users.get(read.user);
    const hash = user?.hash ?? hashes[passwords.pick(read.user, hashes.length)] ?? DECOY;
    const verdict = await passwords.check(credential, read.password, { user: read.user, hash });
    if (verdict === 'busy') return BUSY;
    return verdict === 'right' && user !== undefined ? user.vouched : UNKNOWN;
  }

  return {
    name: config.name,
    challenge: `Basic realm="${config.realm}", charset="UTF-8"`,
    writes: [],
    strip: config.keepCredential ? null : places.strip,
    find(exchange) {
      const credential = places.find(exchange);
      if (credential === undefined) return ABSENT;
      if (credential.length > MAX_CREDENTIAL) return MALFORMED;
      const pair = passwords.remembered(credential);
      if (pair === undefined) return verify(credential);
      const user = users.get(pair.user);
      return user?.hash === pair.hash ? user.vouched : verify(credential);
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
