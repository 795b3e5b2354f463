/** What a section is compiled with: the Secrets of its namespace, and a place for what goes with it and what is wrong with it. */
import { isLocalAddress } from '@tidegate/dataplane/snapshot/local-address';
import type { Resource } from '@tidegate/dataplane/snapshot/resources';
import type { ObjectRef, Problem, ProblemReason } from '../../api/problem.ts';
import { formatPath } from '../../api/validate.ts';
import type { SecretObject } from '../../store/objects.ts';

/** Secrets as the store holds them. */
export interface Secrets {
  get(namespace: string, name: string): SecretObject | undefined;
  list(namespace: string): Iterable<SecretObject>;
  /** False: the controller watches none, so that nothing can be found. */
  readonly watched: boolean;
}

/** What a policy is compiled in. */
export interface SectionSurroundings {
  readonly secrets: Secrets;
  /** Whether the data plane may be sent to its own machine: from files, where one owner writes all. */
  readonly allowLocal: boolean;
}

type Path = readonly (string | number)[];

export class SectionContext {
  readonly policy: ObjectRef;
  /** In the order they were emitted; each id once. */
  readonly resources = new Map<string, Resource>();
  readonly problems: Problem[] = [];
  readonly #secrets: Secrets;
  readonly #allowLocal: boolean;
  readonly #section: string;

  constructor(policy: ObjectRef, section: string, { secrets, allowLocal }: SectionSurroundings) {
    this.policy = policy;
    this.#section = section;
    this.#secrets = secrets;
    this.#allowLocal = allowLocal;
  }

  /** `path` is below the section. The section then is not built: one that protects refuses its requests. */
  problem(path: Path, reason: ProblemReason, message: string): void {
    this.problems.push({
      object: this.policy,
      path: formatPath(['spec', this.#section, ...path]),
      reason,
      message,
    });
  }

  /** Undefined, with a problem, where there is none. */
  secret(name: string, path: Path): SecretObject | undefined {
    const { namespace } = this.policy;
    const found = this.#secrets.get(namespace, name);
    if (found === undefined) this.problem(path, 'SecretNotFound', this.#notFound(`Secret ${namespace}/${name}`));
    return found;
  }

  /** By name and by labels, each once, sorted by name. */
  secrets(
    refs: readonly { readonly name: string }[],
    selector: { readonly matchLabels: Readonly<Record<string, string>> } | undefined,
    path: Path,
  ): SecretObject[] {
    const { namespace } = this.policy;
    const found = new Map<string, SecretObject>();
    for (const [index, { name }] of refs.entries()) {
      const secret = this.secret(name, [...path, 'secretRefs', index, 'name']);
      if (secret !== undefined) found.set(name, secret);
    }
    if (selector !== undefined) {
      if (!this.#secrets.watched)
        this.problem([...path, 'secretSelector'], 'SecretNotFound', this.#notFound('Secrets by label'));
      for (const secret of this.#secrets.list(namespace)) {
        const { labels = {}, name } = secret.metadata;
        const matches = Object.entries(selector.matchLabels).every(([label, value]) => labels[label] === value);
        if (matches) found.set(name, secret);
      }
    }
    return [...found.values()].sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
  }

  /** Sends one value of a Secret along; its id, or null, with a problem, where it is missing or empty. */
  secretValue(ref: { readonly name: string; readonly key: string }, path: Path): string | null {
    const secret = this.secret(ref.name, [...path, 'name']);
    if (secret === undefined) return null;
    const value = secret.data?.[ref.key];
    if (value === undefined || value === '') {
      const { namespace } = this.policy;
      this.problem([...path, 'key'], 'SecretInvalid', `Secret ${namespace}/${ref.name} has nothing under ${ref.key}`);
      return null;
    }
    const id = `secret/${this.policy.namespace}/${this.policy.name}/${ref.name}/${ref.key}`;
    this.emit({ kind: 'secret', id, value });
    return id;
  }

  /** A server the data plane will ask: a policy must not lead it to its own admin port or to its node's credentials. */
  server(url: string, path: Path): void {
    const host = new URL(url).hostname.replace(/^\[(.*)\]$/, '$1');
    if (!this.#allowLocal && isLocalAddress(host))
      this.problem(path, 'NotAllowed', `${host} is an address of the data plane itself or of its machine`);
  }

  emit(resource: Resource): void {
    this.resources.set(resource.id, resource);
  }

  #notFound(what: string): string {
    return this.#secrets.watched
      ? `${what} does not exist`
      : `${what} can't be looked up: this controller watches no Secrets (TIDEGATE_SECRETS=true; chart: controller.secrets.watch)`;
  }
}

/** Values of a Secret as text; base64 as the API server keeps it. */
export function secretText(base64: string): string {
  return Buffer.from(base64, 'base64').toString('utf8');
}

/** Groups of all consumers of a Secret: the annotation `tidegate.dev/groups`, commas between them. */
export function groupsOf(secret: SecretObject): string[] {
  const text = secret.metadata.annotations?.['tidegate.dev/groups'] ?? '';
  return [...new Set(text.split(',').map((group) => group.trim()))].filter((group) => group !== '');
}
