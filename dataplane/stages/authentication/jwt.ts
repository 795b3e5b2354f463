/** JSON Web Tokens: verified here, with keys of the configuration or of the issuer's key set. */
import { createHash } from 'node:crypto';
import { type KeySetUrl, SHARED_KEY_ALGORITHMS } from '../../snapshot/sections/authentication/jwt.ts';
import type { MethodConfig } from '../../snapshot/sections/authentication.ts';
import type { StageContext } from '../context.ts';
import { StageError } from '../stage-error.ts';
import { ABSENT, type Method } from './method.ts';
import { createPlaces } from './places.ts';
import { type Hold, sharedBy } from './shared.ts';
import { type KeySet, parseKeySet } from './tokens/key-set.ts';
import { fixedKeys } from './tokens/key-source.ts';
import { BEARER } from './tokens/refusals.ts';
import { RemoteKeys } from './tokens/remote-keys.ts';
import { TokenVerifier } from './tokens/verifier.ts';
import { Voices } from './tokens/voices.ts';

const remoteKeysOf = sharedBy<SharedKeys>();
const verifiersOf = sharedBy<TokenVerifier>();

export function create(config: MethodConfig<'jwt'>, context: StageContext, field: string): Method {
  checkAlgorithms(config, field);
  const places = createPlaces(config.from);
  const { hold, stop } =
    config.keys.source === 'url'
      ? withRemoteKeys(config, config.keys, context)
      : withFixedKeys(config, readKeys(config, context, field), context);
  const verifier = hold.value;
  return {
    name: config.name,
    challenge: BEARER,
    writes: config.claimHeaders.map(({ header }) => header),
    strip: config.keepCredential ? null : places.strip,
    find(exchange) {
      const token = places.find(exchange);
      return token === undefined || token === '' ? ABSENT : verifier.check(token);
    },
    close: stop,
  };
}

interface Started {
  readonly hold: Hold<TokenVerifier>;
  readonly stop: () => void;
}

interface SharedKeys {
  readonly keys: RemoteKeys;
  readonly voices: Voices;
  close(): void;
}

/** Keys are shared by all methods with the same URL and times, verified tokens by those that are the same throughout. */
function withRemoteKeys(config: MethodConfig<'jwt'>, keys: KeySetUrl, context: StageContext): Started {
  const { http } = context.services;
  const holdKeys = () =>
    remoteKeysOf(http).hold(JSON.stringify(keys), () => {
      const voices = new Voices();
      const remote = new RemoteKeys(keys, { http, now: context.now, random: context.random, voices });
      return { keys: remote, voices, close: () => remote.close() };
    });
  // One for the verifier, which may outlive this method, and one for what this method's policy is told.
  const own = holdKeys();
  const hold = verifiersOf(http).hold(JSON.stringify(config), () => {
    const held = holdKeys();
    return new TokenVerifier(config, { keys: held.value.keys, epochMs: context.epochMs, onClose: held.release });
  });
  const silence = own.value.voices.add(context.trouble);
  return {
    hold,
    stop: () => {
      silence();
      hold.release();
      own.release();
    },
  };
}

interface FixedKeys {
  readonly set: KeySet;
  readonly text: string;
}

function withFixedKeys(config: MethodConfig<'jwt'>, { set, text }: FixedKeys, context: StageContext): Started {
  // A secret may change under the same name.
  const digest = createHash('sha256').update(text).digest('hex');
  const hold = verifiersOf(context.services.http).hold(
    `${digest} ${JSON.stringify(config)}`,
    () => new TokenVerifier(config, { keys: fixedKeys(set), epochMs: context.epochMs, onClose: () => {} }),
  );
  return { hold, stop: hold.release };
}

function readKeys({ keys }: MethodConfig<'jwt'>, context: StageContext, field: string): FixedKeys {
  if (keys.source === 'url') throw new TypeError('keys by URL are fetched');
  const where = keys.source === 'inline' ? `${field}.keys.jwks` : `${field}.keys.secret`;
  const text = keys.source === 'inline' ? keys.jwks : context.secret(keys.secret)?.text();
  if (text === undefined) throw new StageError(where, 'there is no such secret, or it was rejected');
  try {
    return { set: parseKeySet(text, { shared: keys.source === 'secret' }), text };
  } catch (error) {
    throw new StageError(where, (error as Error).message);
  }
}

function checkAlgorithms({ algorithms, keys }: MethodConfig<'jwt'>, field: string): void {
  const shared: readonly string[] = SHARED_KEY_ALGORITHMS;
  const index = algorithms.findIndex((algorithm) => shared.includes(algorithm));
  // With a public key taken for a shared one, everybody could sign.
  if (index >= 0 && keys.source !== 'secret')
    throw new StageError(`${field}.algorithms[${index}]`, `${algorithms[index]} needs a shared key, from a secret`);
}
