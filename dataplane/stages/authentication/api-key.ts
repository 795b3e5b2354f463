/**
 * API keys from Kubernetes Secrets and the credential store: looked up by their SHA-256, so that neither memory nor time tells anything of
 * a key. The hash is made anew each request: 0.4 µs, against 0.1 µs for a map of keys in the clear, which would sit in memory dumps and
 * compare byte by byte.
 */
import { hash as digest } from 'node:crypto';
import { NO_CLAIMS } from '../../pipeline/identity.ts';
import type { MethodConfig } from '../../snapshot/sections/authentication.ts';
import { AWAY, type Found } from '../../store/credentials/credentials.ts';
import type { Consumer } from '../../store/credentials/store.ts';
import type { StageContext } from '../context.ts';
import { StageError } from '../stage-error.ts';
import { HashTable } from './hash-table.ts';
import { ABSENT, type Finding, type Method, type Vouched } from './method.ts';
import { createPlaces, MAX_CREDENTIAL } from './places.ts';
import { STORE_AWAY, storeOf, vouchedFor } from './store.ts';

export function create(config: MethodConfig<'apiKey'>, context: StageContext, field: string): Method {
  const places = createPlaces(config.from);
  const store = storeOf(config, context, field);
  const known = new HashTable<Vouched>();
  for (const [index, id] of config.credentials.entries()) {
    const resource = context.credentials(id);
    if (resource === undefined)
      throw new StageError(`${field}.credentials[${index}]`, `there is no ${id}, or it was rejected`);
    if (resource.entries.type !== 'apiKey')
      throw new StageError(`${field}.credentials[${index}]`, `${id} holds no API keys`);
    for (const { hash, consumer, groups } of resource.entries.keys) {
      const identity = { consumer, groups, scopes: [], claims: NO_CLAIMS, method: config.name };
      known.add(hash, { kind: 'vouched', identity, fields: [] });
    }
  }
  const refused: Finding = {
    kind: 'refused',
    status: 401,
    code: 'api-key-unknown',
    detail: 'This API key is not known here.',
  };
  const vouched = vouchedFor(config.name);
  const findingOf = (found: Found<Consumer>): Finding => {
    if (found === AWAY) return STORE_AWAY;
    return found === null ? refused : vouched(found);
  };
  return {
    name: config.name,
    challenge: `${schemeOf(config)} realm="tidegate"`,
    writes: [],
    strip: config.keepCredential ? null : places.strip,
    ...(store !== null && { close: store.watch(context.trouble) }),
    find(exchange) {
      const key = places.find(exchange);
      if (key === undefined || key === '') return ABSENT;
      if (key.length > MAX_CREDENTIAL) return refused;
      const hash = digest('sha256', key);
      const ours = known.get(hash);
      if (ours !== undefined) return ours;
      if (store === null) return refused;
      const found = store.key(hash);
      return found instanceof Promise ? found.then(findingOf) : findingOf(found);
    },
  };
}

/** A 401 must name a scheme (RFC 9110 section 15.5.2), and none is registered for keys: that of the configuration, else a word that says what is needed. */
function schemeOf({ from }: MethodConfig<'apiKey'>): string {
  for (const place of from) if (place.in === 'header' && place.scheme !== '') return place.scheme;
  return 'ApiKey';
}
