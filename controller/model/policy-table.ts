/**
 * Which policy holds where. Each section merges on its own down Gateway > Namespace > Route > rule > Backend (GEP-713): the most specific
 * wins, unless a policy above enforces the section; on one level the older wins.
 *
 * Kept up to date policy by policy. The result depends only on the policies that were set last, never on their order.
 */
import type { ObjectRef, Problem } from '../api/problem.ts';
import { formatRef } from '../api/problem.ts';
import { SECTION_NAMES, type SectionName, type TargetRef } from '../api/v1alpha1/policy.ts';
import { keyOf, type ObjectKey } from '../store/objects.ts';
import type { PolicyModel } from './policy.ts';
import { type Slot, type SlotKey, slotKey, slotsAbove } from './slot.ts';

export interface PolicyTableOptions {
  /** `spec.gateway` of this installation: what a target of kind Gateway must name. */
  readonly gateway: string;
  /** The only namespace whose policies may target the Gateway or another namespace; undefined: any may (files). */
  readonly gatewayNamespace: string | undefined;
  /** Names of the rules of a Route this installation serves, or undefined when there is no such Route. */
  readonly rulesOf: (namespace: string, route: string) => ReadonlySet<string> | undefined;
  /** Whether this installation serves such a Backend. */
  readonly hasBackend: (namespace: string, backend: string) => boolean;
  /** Whether this installation serves a Route of that namespace: what a target of kind Namespace is about. */
  readonly hasRoutes: (namespace: string) => boolean;
}

/** What a change of the table means to others. */
export interface TableChange {
  /** Slots with another winner of a section: the rules below them are compiled again. */
  readonly slots: readonly Slot[];
  /** Policies whose own verdict may differ now. */
  readonly policies: ReadonlySet<ObjectKey>;
}

type Resolution =
  | { readonly index: number; readonly target: TargetRef; readonly slot: Slot }
  | {
      readonly index: number;
      readonly target: TargetRef;
      readonly reason: 'NotAllowed' | 'TargetNotFound';
      readonly message: string;
    };

interface Entry {
  readonly policy: PolicyModel;
  readonly resolutions: readonly Resolution[];
}

interface Claims {
  readonly slot: Slot;
  /** Oldest first. */
  readonly policies: PolicyModel[];
}

export class PolicyTable {
  readonly #options: PolicyTableOptions;
  readonly #entries = new Map<ObjectKey, Entry>();
  readonly #claims = new Map<SlotKey, Claims>();

  constructor(options: PolicyTableOptions) {
    this.#options = options;
  }

  /** Puts a policy in, anew, or takes it out (null); resolves its targets as things are now. */
  set(key: ObjectKey, policy: PolicyModel | null): TableChange {
    const before = this.#entries.get(key);
    const resolutions =
      policy === null ? [] : policy.targets.map(({ index, target }) => this.#resolve(policy, index, target));
    const touched = new Map<SlotKey, Slot>();
    for (const resolution of [...(before?.resolutions ?? []), ...resolutions]) {
      if ('slot' in resolution) touched.set(slotKey(resolution.slot), resolution.slot);
    }
    const winners = new Map([...touched].map(([id]) => [id, this.#signature(id)]));
    const policies = new Set<ObjectKey>([key]);
    const neighbours = () => {
      for (const id of touched.keys())
        for (const other of this.#claims.get(id)?.policies ?? []) policies.add(keyOf(other.ref));
    };
    neighbours();
    this.#withdraw(key, before);
    if (policy === null) this.#entries.delete(key);
    else this.#claim(key, { policy, resolutions });
    neighbours();
    const slots = [...touched].filter(([id]) => winners.get(id) !== this.#signature(id)).map(([, slot]) => slot);
    // What is enforced above decides about all below; rare, so all are looked at again.
    if (before?.policy.enforce === true || policy?.enforce === true)
      for (const other of this.#entries.keys()) policies.add(other);
    return { slots, policies };
  }

  /** The policy of each section for one rule. */
  effective(namespace: string, route: string, rule: string): ReadonlyMap<SectionName, PolicyModel> {
    const slot: Slot = { level: 'rule', namespace, route, rule };
    const chosen = new Map<SectionName, PolicyModel>();
    for (const at of [...slotsAbove(slot), slot]) this.#choose(at, chosen);
    return chosen;
  }

  /** The same for what the rule sends to one Backend. `ofRule`: what `effective` says; the answer is that very map where nothing differs. */
  effectiveAt(
    namespace: string,
    backend: string,
    ofRule: ReadonlyMap<SectionName, PolicyModel>,
  ): ReadonlyMap<SectionName, PolicyModel> {
    const slot: Slot = { level: 'backend', namespace, backend };
    if (!this.#claims.has(slotKey(slot))) return ofRule;
    const chosen = new Map(ofRule);
    return this.#choose(slot, chosen) ? chosen : ofRule;
  }

  /** As the two above, with the level that decided. Costs more; `backend` undefined: of the rule itself. */
  trace(
    namespace: string,
    route: string,
    rule: string,
    backend?: string,
  ): ReadonlyMap<SectionName, { readonly policy: PolicyModel; readonly level: Slot['level'] }> {
    const slot: Slot = { level: 'rule', namespace, route, rule };
    const path: Slot[] = [...slotsAbove(slot), slot];
    if (backend !== undefined) path.push({ level: 'backend', namespace, backend });
    const chosen = new Map<SectionName, PolicyModel>();
    const levels = new Map<SectionName, Slot['level']>();
    for (const at of path) this.#choose(at, chosen, (section) => levels.set(section, at.level));
    return new Map(
      [...chosen].map(([section, policy]) => [section, { policy, level: levels.get(section) ?? 'gateway' }] as const),
    );
  }

  /** Whether it changed anything. */
  #choose(slot: Slot, chosen: Map<SectionName, PolicyModel>, took?: (section: SectionName) => void): boolean {
    let changed = false;
    for (const section of SECTION_NAMES) {
      const winner = this.#winner(slot, section);
      const before = chosen.get(section);
      if (winner === undefined || winner === before || before?.enforce === true) continue;
      chosen.set(section, winner);
      took?.(section);
      changed = true;
    }
    return changed;
  }

  /** Whether any target of a policy was found, so that its sections are compiled at all. */
  holdsSomewhere(key: ObjectKey): boolean {
    return this.#entries.get(key)?.resolutions.some((resolution) => 'slot' in resolution) ?? false;
  }

  /** Why targets of a policy, or sections there, do not take effect; and which sections do somewhere. */
  verdict(key: ObjectKey): { readonly problems: readonly Problem[]; readonly effective: ReadonlySet<SectionName> } {
    const effective = new Set<SectionName>();
    const entry = this.#entries.get(key);
    if (entry === undefined) return { problems: [], effective };
    const { policy, resolutions } = entry;
    const problems: Problem[] = [];
    for (const resolution of resolutions) {
      const path = `spec.targetRefs[${resolution.index}]`;
      if (!('slot' in resolution)) {
        problems.push({ object: policy.ref, path, reason: resolution.reason, message: resolution.message });
        continue;
      }
      for (const { section } of policy.sections) {
        const problem = this.#loss(policy, section, resolution.slot, formatTarget(resolution.target));
        if (problem === null) effective.add(section);
        else problems.push(problem);
      }
    }
    return { problems, effective };
  }

  #loss(policy: PolicyModel, section: SectionName, slot: Slot, target: string): Problem | null {
    const problem = (reason: 'Conflicted' | 'Overridden', message: string): Problem => ({
      object: policy.ref,
      path: `spec.${section}`,
      reason,
      message,
    });
    for (const above of slotsAbove(slot)) {
      const winner = this.#winner(above, section);
      if (winner?.enforce === true && keyOf(winner.ref) !== keyOf(policy.ref)) {
        return problem('Overridden', `${formatRef(winner.ref)} enforces ${section} above ${target}`);
      }
      if (winner?.enforce === true) break;
    }
    const winner = this.#winner(slot, section);
    if (winner === undefined || keyOf(winner.ref) === keyOf(policy.ref)) return null;
    const why = winner.createdAtMs < policy.createdAtMs ? 'is older' : 'goes first by name';
    return problem('Conflicted', `${formatRef(winner.ref)} ${why} and sets ${section} for ${target}`);
  }

  #winner(slot: Slot, section: SectionName): PolicyModel | undefined {
    return this.#claims
      .get(slotKey(slot))
      ?.policies.find((policy) => policy.sections.some((one) => one.section === section));
  }

  #signature(id: SlotKey): string {
    const slot = this.#claims.get(id)?.slot;
    if (slot === undefined) return '';
    return SECTION_NAMES.map((section) => {
      const winner = this.#winner(slot, section);
      return winner === undefined ? '' : `${keyOf(winner.ref)}${winner.enforce ? '!' : ''}`;
    }).join(' ');
  }

  #resolve(policy: PolicyModel, index: number, target: TargetRef): Resolution {
    const { gateway, gatewayNamespace, rulesOf, hasBackend, hasRoutes } = this.#options;
    const own = policy.ref.namespace;
    const wide = gatewayNamespace === undefined || own === gatewayNamespace;
    const refuse = (reason: 'NotAllowed' | 'TargetNotFound', message: string) => ({ index, target, reason, message });
    if (target.kind === 'Gateway') {
      if (!wide)
        return refuse('NotAllowed', `policies of kind Gateway are taken from namespace ${gatewayNamespace} only`);
      if (target.name !== gateway)
        return refuse('TargetNotFound', `this installation is Gateway ${gateway}, not ${target.name}`);
      return { index, target, slot: { level: 'gateway' } };
    }
    if (target.kind === 'Namespace') {
      if (target.name !== own && !wide)
        return refuse('NotAllowed', `a policy may target its own namespace ${own} only`);
      if (!hasRoutes(target.name))
        return refuse('TargetNotFound', `namespace ${target.name} has no Route that this installation serves`);
      return { index, target, slot: { level: 'namespace', namespace: target.name } };
    }
    if (target.kind === 'Backend') {
      if (!hasBackend(own, target.name))
        return refuse('TargetNotFound', `Backend ${own}/${target.name} does not exist`);
      return { index, target, slot: { level: 'backend', namespace: own, backend: target.name } };
    }
    const rules = rulesOf(own, target.name);
    if (rules === undefined) return refuse('TargetNotFound', `Route ${own}/${target.name} does not exist`);
    if (target.sectionName === undefined)
      return { index, target, slot: { level: 'route', namespace: own, route: target.name } };
    if (!rules.has(target.sectionName))
      return refuse('TargetNotFound', `Route ${own}/${target.name} has no rule ${target.sectionName}`);
    return { index, target, slot: { level: 'rule', namespace: own, route: target.name, rule: target.sectionName } };
  }

  #claim(key: ObjectKey, entry: Entry): void {
    this.#entries.set(key, entry);
    for (const resolution of entry.resolutions) {
      if (!('slot' in resolution)) continue;
      const id = slotKey(resolution.slot);
      const claims = this.#claims.get(id) ?? { slot: resolution.slot, policies: [] };
      this.#claims.set(id, claims);
      if (claims.policies.includes(entry.policy)) continue;
      claims.policies.push(entry.policy);
      claims.policies.sort(byAge);
    }
  }

  #withdraw(key: ObjectKey, entry: Entry | undefined): void {
    for (const resolution of entry?.resolutions ?? []) {
      if (!('slot' in resolution)) continue;
      const id = slotKey(resolution.slot);
      const claims = this.#claims.get(id);
      const at = claims?.policies.findIndex((policy) => keyOf(policy.ref) === key) ?? -1;
      if (claims === undefined || at < 0) continue;
      claims.policies.splice(at, 1);
      if (claims.policies.length === 0) this.#claims.delete(id);
    }
  }
}

/** `Route/orders`, `Route/orders/read-orders`: as `kubectl get policies` shows it. */
export function formatTarget(target: TargetRef): string {
  return `${target.kind}/${target.name}${target.sectionName === undefined ? '' : `/${target.sectionName}`}`;
}

/** The older first, then by namespace and name. */
function byAge(a: { createdAtMs: number; ref: ObjectRef }, b: { createdAtMs: number; ref: ObjectRef }): number {
  const x = `${a.ref.namespace}/${a.ref.name}`;
  const y = `${b.ref.namespace}/${b.ref.name}`;
  return a.createdAtMs - b.createdAtMs || (x < y ? -1 : x > y ? 1 : 0);
}
