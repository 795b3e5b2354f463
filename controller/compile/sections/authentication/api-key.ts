/** API keys of Secrets: hashed here, so that no snapshot holds one. */
import { createHash } from 'node:crypto';
import type { AuthenticationMethod } from '@tidegate/dataplane/snapshot/sections/authentication';
import type { ApiKeySpec } from '../../../api/v1alpha1/sections/authentication/api-key.ts';
import type { SecretObject } from '../../../store/objects.ts';
import { groupsOf, type SectionContext, secretText } from '../context.ts';
import { compilePlace } from './place.ts';

/** Fewer characters can be guessed. */
const MIN_KEY_LENGTH = 16;

export function compileApiKey(
  spec: ApiKeySpec,
  name: string,
  context: SectionContext,
  path: readonly (string | number)[],
): AuthenticationMethod {
  const secrets = context.secrets(spec.secretRefs ?? [], spec.secretSelector, path);
  return {
    kind: 'apiKey',
    name,
    from: spec.from?.map(compilePlace) ?? [{ in: 'header', name: 'x-api-key', scheme: '' }],
    credentials: secrets.map((secret) => emitKeys(secret, context, path)),
    keepCredential: spec.keepCredential,
  };
}

function emitKeys(secret: SecretObject, context: SectionContext, path: readonly (string | number)[]): string {
  const { namespace, name } = secret.metadata;
  const groups = groupsOf(secret);
  const keys: { hash: string; consumer: string; groups: string[] }[] = [];
  for (const [consumer, value] of Object.entries(secret.data ?? {}).sort(([a], [b]) => (a < b ? -1 : 1))) {
    const lines = secretText(value)
      .split('\n')
      .map((line) => line.trim());
    for (const key of lines.filter((line) => line !== '')) {
      if (key.length < MIN_KEY_LENGTH) {
        const message = `Secret ${namespace}/${name}: a key of ${consumer} is shorter than ${MIN_KEY_LENGTH} characters`;
        context.problem(path, 'SecretInvalid', message);
        continue;
      }
      keys.push({ hash: createHash('sha256').update(key).digest('hex'), consumer, groups });
    }
  }
  const id = `credentials/${context.policy.namespace}/${context.policy.name}/${name}/apiKey`;
  context.emit({ kind: 'credentials', id, source: `${namespace}/${name}`, entries: { type: 'apiKey', keys } });
  return id;
}
