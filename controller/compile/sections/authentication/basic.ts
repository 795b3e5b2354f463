/** Users of Secrets with the hashes of their passwords. What is no such hash closes the section; no message holds it. */
import { readPasswordHash } from '@tidegate/dataplane/snapshot/password-hash';
import type { AuthenticationMethod } from '@tidegate/dataplane/snapshot/sections/authentication';
import type { BasicSpec } from '../../../api/v1alpha1/sections/authentication/basic.ts';
import type { SecretObject } from '../../../store/objects.ts';
import { groupsOf, type SectionContext, secretText } from '../context.ts';

/** Data keys that hold a whole file: the second is what ingress controllers take. */
const FILES: ReadonlySet<string> = new Set(['.htpasswd', 'auth']);

/** More in one message would not fit into a condition. */
const MAX_NAMED = 3;

export function compileBasic(
  spec: BasicSpec,
  name: string,
  context: SectionContext,
  path: readonly (string | number)[],
): AuthenticationMethod {
  const secrets = context.secrets(spec.secretRefs ?? [], spec.secretSelector, path);
  return {
    kind: 'basic',
    name,
    realm: spec.realm ?? 'tidegate',
    credentials: secrets.map((secret) => emitUsers(secret, context, path)),
    store: spec.store ?? false,
    keepCredential: spec.keepCredential,
  };
}

function emitUsers(secret: SecretObject, context: SectionContext, path: readonly (string | number)[]): string {
  const { namespace, name } = secret.metadata;
  const groups = groupsOf(secret);
  const users: { hash: string; consumer: string; groups: string[] }[] = [];
  const wrong: string[] = [];
  const seen = new Set<string>();
  for (const { user, hash } of usersOf(secret, wrong)) {
    const consumer = user.normalize('NFC');
    const problem = problemOf(consumer, hash, seen);
    seen.add(consumer);
    if (problem === undefined) users.push({ hash, consumer, groups });
    else wrong.push(problem);
  }
  if (wrong.length > 0) {
    const more = wrong.length > MAX_NAMED ? `; and ${wrong.length - MAX_NAMED} more` : '';
    const message = `Secret ${namespace}/${name}: ${wrong.slice(0, MAX_NAMED).join('; ')}${more}`;
    context.problem(path, 'SecretInvalid', message);
  }
  const id = `credentials/${context.policy.namespace}/${context.policy.name}/${name}/basic`;
  context.emit({ kind: 'credentials', id, source: `${namespace}/${name}`, entries: { type: 'basic', users } });
  return id;
}

function problemOf(user: string, hash: string, seen: ReadonlySet<string>): string | undefined {
  if (user.length > 253 || /[\x00-\x1f\x7f]/.test(user)) return 'a user has a name that can not be sent';
  if (seen.has(user)) return `there are two users ${user}`;
  const read = readPasswordHash(hash);
  return typeof read === 'string' ? `the password of ${user} ${read}` : undefined;
}

function* usersOf(secret: SecretObject, wrong: string[]): IterableIterator<{ user: string; hash: string }> {
  for (const [key, value] of Object.entries(secret.data ?? {}).sort(([a], [b]) => (a < b ? -1 : 1))) {
    const text = secretText(value);
    if (!FILES.has(key)) {
      yield { user: key, hash: text.trim() };
      continue;
    }
    for (const [index, line] of text.split('\n').entries()) {
      const entry = line.trim();
      if (entry === '' || entry.startsWith('#')) continue;
      const colon = entry.indexOf(':');
      if (colon < 1) wrong.push(`line ${index + 1} of ${key} is not user:hash`);
      else yield { user: entry.slice(0, colon), hash: entry.slice(colon + 1).trim() };
    }
  }
}
