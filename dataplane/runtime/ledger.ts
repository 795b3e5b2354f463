/**
 * What the data plane holds: every resource as it was sent, the parts made of it, and who refers to whom. Read while a step is
 * planned, written only when it is taken.
 */
import type { Rejection, RulePlace } from '../snapshot/decode.ts';
import type { BackendResource, EndpointsResource, PolicyResource, Resource } from '../snapshot/resources.ts';
import { RevisionSum } from '../snapshot/revision.ts';
import type { TlsHost } from '../tls/host.ts';
import type { Materials } from '../upstream/dial/tls-settings.ts';
import type { Upstream } from '../upstream/upstream.ts';
import type { RulePart } from './compile-rule.ts';
import type { PolicyPart } from './rule-chain.ts';

/** A resource as the controller sent it last. */
export interface Held {
  readonly hash: string;
  /** Null where it could not be decoded. */
  readonly resource: Resource | null;
  /** Of a rule that could not be decoded: which requests it takes, where that could be read. */
  readonly place: RulePlace | null;
}

/** `born`: index of the generation it was made for. */
export interface HeldPolicy extends PolicyPart {
  readonly resource: PolicyResource;
  readonly born: number;
  /** Ends what the stage says of its troubles. */
  readonly hush: () => void;
}

export interface HeldBackend {
  readonly resource: BackendResource;
  readonly endpoints: EndpointsResource;
  readonly materials: Materials;
  readonly upstream: Upstream;
  readonly born: number;
}

export class Ledger {
  readonly held = new Map<string, Held>();
  readonly policies = new Map<string, HeldPolicy>();
  readonly backends = new Map<string, HeldBackend>();
  readonly rules = new Map<string, RulePart>();
  /** By id of the `tls` resource. */
  readonly tls = new Map<string, TlsHost>();
  /** Everything that does not run as it was sent. */
  readonly rejected = new Map<string, Rejection>();
  readonly sum = RevisionSum.empty();
  readonly #dependents = new Map<string, Set<string>>();
  readonly #references = new Map<string, readonly string[]>();

  /** Ids of the resources that refer to this one, there or not. */
  dependentsOf(id: string): Iterable<string> {
    return this.#dependents.get(id) ?? [];
  }

  /** Takes the place of what `id` referred to before; none: it refers to nothing. */
  setReferences(id: string, references: readonly string[]): void {
    for (const target of this.#references.get(id) ?? []) {
      const dependents = this.#dependents.get(target);
      dependents?.delete(id);
      if (dependents?.size === 0) this.#dependents.delete(target);
    }
    if (references.length === 0) this.#references.delete(id);
    else this.#references.set(id, references);
    for (const target of references) {
      const dependents = this.#dependents.get(target);
      if (dependents === undefined) this.#dependents.set(target, new Set([id]));
      else dependents.add(id);
    }
  }
}
