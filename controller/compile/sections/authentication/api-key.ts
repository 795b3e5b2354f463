/** API keys of Secrets: hashed here, so that no snapshot holds one. */
import { createHash } from 'node:crypto';
import type { AuthenticationMethod } from '@tidegate/dataplane/snapshot/sections/authentication';
import type { ApiKeySpec } from '../../../api/v1alpha1/sections/authentication/api-key.ts';
import type { SecretObject } from '../../../store/objects.ts';
import { groupsOf, type SectionContext, secretText } from '../context.ts';
import { compilePlace } from './place.ts';

/** Fewer characters can be guessed. */
const MIN_KEY_LENGTH = 16;
const MAX_KEY_LENGTH = 1024;

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
    store: spec.store ?? false,
    keepCredential: spec.keepCredential,
  };
}

function emitKeys(secret: SecretObject, context: SectionContext, path: readonly (string | number)[]): string {
  const { namespace, name } = secret.metadata;
  const groups = groupsOf(secret);
  const keys: { hash: string; consumer: string; groups: string[] }[] = [];
  const owners = new Map<string, string>();
  for (const [consumer, value] of Object.entries(secret.data ?? {}).sort(([a], [b]) => (a < b ? -1 : 1))) {
    const lines = secretText(value)
      .split('\n')
      .map((line) => line.trim());
    for (const key of lines.filter((line) => line !== '')) {
      const hash = createHash('sha256').update(key).digest('hex');
      const problem = problemOf(key, consumer, owners.get(hash));
      if (problem !== undefined) {
        context.problem(path, 'SecretInvalid', `Secret ${namespace}/${name}: ${problem}`);
        continue;
      }
      owners.set(hash, consumer);
      keys.push({ hash, consumer, groups });
    }
  }
  const id = `credentials/${context.policy.namespace}/${context.policy.name}/${name}/apiKey`;
  context.emit({ kind: 'credentials', id, source: `${namespace}/${name}`, entries: { type: 'apiKey', keys } });
  return id;
}

function problemOf(key: string, consumer: string, owner: string | undefined): string | undefined {
  if (key.length < MIN_KEY_LENGTH) return `a key of ${consumer} is shorter than ${MIN_KEY_LENGTH} characters`;
  if (key.length > MAX_KEY_LENGTH) return `a key of ${consumer} is longer than ${MAX_KEY_LENGTH} characters`;
  // Others arrive as other bytes, depending on who sends them.
  if (!/^[\x21-\x7e]+$/.test(key)) return `a key of ${consumer} holds other characters than visible ASCII`;
  if (owner !== undefined) return `a key of ${consumer} is a key of ${owner} too: which of them calls?`;
  return undefined;
}
