/** Opaque tokens: their issuer is asked, and what it says is remembered for a while. */
import { createHash } from 'node:crypto';
import type { MethodConfig } from '../../snapshot/sections/authentication.ts';
import type { StageContext } from '../context.ts';
import { ABSENT, type Method } from './method.ts';
import { createPlaces } from './places.ts';
import { sharedBy } from './shared.ts';
import { Introspector } from './tokens/introspector.ts';
import { clientSecretOf } from './tokens/oauth-client.ts';
import { BEARER } from './tokens/refusals.ts';
import { Voices } from './tokens/voices.ts';

interface SharedIntrospector {
  readonly introspector: Introspector;
  readonly voices: Voices;
  close(): void;
}

const introspectorsOf = sharedBy<SharedIntrospector>();

export function create(config: MethodConfig<'introspection'>, context: StageContext, field: string): Method {
  const places = createPlaces(config.from);
  const secret = clientSecretOf(config.client, context, `${field}.client`);
  const { http } = context.services;
  const { epochMs, random } = context;
  const digest = createHash('sha256').update(secret.bytes()).digest('hex');
  const { value, release } = introspectorsOf(http).hold(`${digest} ${JSON.stringify(config)}`, () => {
    const voices = new Voices();
    const introspector = new Introspector(config, { http, secret, epochMs, random, voices });
    return { introspector, voices, close: () => introspector.close() };
  });
  const silence = value.voices.add(context.trouble);
  return {
    name: config.name,
    challenge: BEARER,
    writes: config.claimHeaders.map(({ header }) => header),
    strip: config.keepCredential ? null : places.strip,
    find(exchange) {
      const token = places.find(exchange);
      return token === undefined || token === '' ? ABSENT : value.introspector.check(token);
    },
    close() {
      silence();
      release();
    },
  };
}
