/**
 * Store to resources, incrementally. What it gives is a pure function of the store's content; what it costs follows the change:
 * each object is compiled again only when something it reads differs.
 *
 * What an object reads: a Backend its Service, EndpointSlices and Secrets; a Policy its targets and Secrets; a Route its Secrets, whether its Backends serve, and
 * which policies win for its rules and Backends. Collisions between Routes touch their problems only, never their resources.
 */
import { isDeepStrictEqual } from 'node:util';
import { RevisionSum } from '@tidegate/dataplane/snapshot/revision';
import type { ObjectRef, Problem } from '../api/problem.ts';
import type { SectionName } from '../api/v1alpha1/policy.ts';
import { type BackendModel, modelBackend } from '../model/backend.ts';
import { Collisions } from '../model/collisions.ts';
import type { ObjectOutcome } from '../model/outcome.ts';
import { modelPolicy, type PolicyModel } from '../model/policy.ts';
import { PolicyTable } from '../model/policy-table.ts';
import { gatewayOf, modelRoute, type RouteModel } from '../model/route.ts';
import type { Slot } from '../model/slot.ts';
import { TlsClaims } from '../model/tls-claims.ts';
import { keyOf, type ObjectKey, refOfKey, type StoreChange } from '../store/objects.ts';
import { ANY_SECRET } from '../store/references.ts';
import type { Store } from '../store/store.ts';
import { compileBackend, refusalOf } from './backend/backend.ts';
import { type EffectiveRule, effectiveRules } from './effective.ts';
import { backendOutcome, policyOutcome, routeOutcome } from './outcomes.ts';
import { type CompiledPolicy, compilePolicy, policyId } from './policy.ts';
import type { CompiledResource, CompileResult } from './result.ts';
import { compileRoute } from './rule.ts';
import type { Secrets } from './sections/context.ts';
import { Step } from './step.ts';
import { compileTls } from './tls.ts';

export interface CompilerOptions {
  readonly store: Store;
  /** Objects whose `spec.gateway` is another one are left to it. */
  readonly gateway: string;
  /**
   * Where this installation runs. Only policies of this namespace may hold for the whole gateway, and Backends may not lead to the
   * data plane's own machine. Undefined: files on a laptop, where both are allowed.
   */
  readonly gatewayNamespace?: string | undefined;
  /** Whether Secrets are among what the store is told. Default true. */
  readonly secretsWatched?: boolean;
}

/** What one step has to look at again. */
interface Dirty {
  readonly backends: Map<ObjectKey, ObjectRef>;
  readonly routes: Set<ObjectKey>;
  readonly policies: Set<ObjectKey>;
  /** Routes whose resources stand, and whose problems may not. */
  readonly outcomes: Set<ObjectKey>;
}

export class Compiler {
  readonly #store: Store;
  readonly #gateway: string;
  readonly #allowLocal: boolean;
  readonly #routes = new Map<ObjectKey, RouteModel>();
  /** How many of `#routes` each namespace has. */
  readonly #routesIn = new Map<string, number>();
  readonly #backends = new Map<ObjectKey, BackendModel>();
  readonly #policies = new Map<ObjectKey, PolicyModel>();
  readonly #compiledPolicies = new Map<ObjectKey, CompiledPolicy>();
  readonly #secrets: Secrets;
  readonly #table: PolicyTable;
  readonly #collisions = new Collisions();
  readonly #tlsClaims = new TlsClaims();
  /** Of the Secrets that `spec.tls` of a Route names; no entry: none. */
  readonly #tlsProblems = new Map<ObjectKey, readonly Problem[]>();
  readonly #resources = new Map<string, CompiledResource>();
  readonly #idsOf = new Map<ObjectKey, readonly string[]>();
  readonly #outcomes = new Map<ObjectKey, ObjectOutcome>();
  readonly #sum = RevisionSum.empty();

  constructor(options: CompilerOptions) {
    this.#store = options.store;
    this.#gateway = options.gateway;
    this.#allowLocal = options.gatewayNamespace === undefined;
    const { store } = options;
    this.#secrets = {
      watched: options.secretsWatched ?? true,
      get: (namespace, name) => store.get('Secret', namespace, name),
      *list(namespace) {
        for (const secret of store.list('Secret')) if (secret.metadata.namespace === namespace) yield secret;
      },
    };
    this.#table = new PolicyTable({
      gateway: options.gateway,
      gatewayNamespace: options.gatewayNamespace,
      rulesOf: (namespace, name) => {
        const route = this.#routes.get(`Route/${namespace}/${name}`);
        return route === undefined ? undefined : new Set(route.rules.map((rule) => rule.name));
      },
      hasBackend: (namespace, name) => this.#backends.has(`Backend/${namespace}/${name}`),
      hasRoutes: (namespace) => this.#routesIn.has(namespace),
    });
  }

  /** Everything the data planes should hold, by id. */
  get resources(): ReadonlyMap<string, CompiledResource> {
    return this.#resources;
  }

  /** What became of every object of this installation. */
  get outcomes(): ReadonlyMap<ObjectKey, ObjectOutcome> {
    return this.#outcomes;
  }

  get revision(): string {
    return this.#sum.value();
  }

  /** Which policy decides what for each rule; null: this installation serves no such Route. */
  effective(namespace: string, route: string): readonly EffectiveRule[] | null {
    const model = this.#routes.get(`Route/${namespace}/${route}`);
    return model === undefined ? null : effectiveRules(model, this.#table);
  }

  /** Takes over what the store says now of the objects named, and of what depends on them. */
  apply(change: StoreChange): CompileResult {
    const dirty: Dirty = { backends: new Map(), routes: new Set(), policies: new Set(), outcomes: new Set() };
    this.#readRoutes(change, dirty);
    for (const ref of change.refs) if (ref.kind === 'Policy') dirty.policies.add(keyOf(ref));
    for (const ref of change.refs) {
      if (ref.kind === 'Backend') dirty.backends.set(keyOf(ref), ref);
      else if (ref.kind === 'Secret') {
        for (const name of [ref.name, ANY_SECRET])
          for (const by of this.#store.references.referrers({ ...ref, name })) {
            if (by.kind === 'Policy') dirty.policies.add(keyOf(by));
            else if (by.kind === 'Backend') dirty.backends.set(keyOf(by), by);
            else if (by.kind === 'Route') dirty.routes.add(keyOf(by));
          }
      } else if (ref.kind === 'Service') {
        for (const by of this.#store.references.referrers(ref))
          if (by.kind === 'Backend') dirty.backends.set(keyOf(by), by);
      }
    }
    const step = new Step(this.#resources, this.#idsOf, this.#outcomes, this.#sum);
    for (const ref of dirty.backends.values()) this.#settleBackend(ref, dirty, step);
    this.#settlePolicies(dirty, step);
    for (const key of dirty.routes) this.#settleRoute(key, dirty, step);
    for (const key of dirty.outcomes) this.#tellRoute(key, step);
    return step.result(this.revision);
  }

  #served(kind: 'Route' | 'Backend' | 'Policy', ref: ObjectRef) {
    const object = this.#store.get(kind, ref.namespace, ref.name);
    return object !== undefined && gatewayOf(object, this.#gateway) === this.#gateway ? object : undefined;
  }

  #readRoutes(change: StoreChange, dirty: Dirty): void {
    const served = new Map<string, boolean>();
    for (const ref of change.refs) {
      if (ref.kind !== 'Route') continue;
      if (!served.has(ref.namespace)) served.set(ref.namespace, this.#routesIn.has(ref.namespace));
      this.#readRoute(ref, dirty);
    }
    // A namespace got its first Route or lost its last: seldom, so all policies are looked through.
    const turned = new Set(
      [...served].flatMap(([name, before]) => (before === this.#routesIn.has(name) ? [] : [name])),
    );
    if (turned.size === 0) return;
    for (const [key, { targets }] of this.#policies) {
      if (targets.some(({ target }) => target.kind === 'Namespace' && turned.has(target.name))) dirty.policies.add(key);
    }
  }

  #readRoute(ref: ObjectRef, dirty: Dirty): void {
    const key = keyOf(ref);
    const object = this.#served('Route', ref);
    const before = ruleNames(this.#routes.get(key));
    dirty.routes.add(key);
    const more = (object === undefined ? 0 : 1) - (this.#routes.has(key) ? 1 : 0);
    const count = (this.#routesIn.get(ref.namespace) ?? 0) + more;
    if (count === 0) this.#routesIn.delete(ref.namespace);
    else this.#routesIn.set(ref.namespace, count);
    if (object === undefined) this.#routes.delete(key);
    else this.#routes.set(key, modelRoute(object));
    if (before === ruleNames(this.#routes.get(key))) return;
    for (const by of this.#store.references.referrers(ref)) if (by.kind === 'Policy') dirty.policies.add(keyOf(by));
  }

  #settlePolicies(dirty: Dirty, step: Step): void {
    const verdicts = new Set<ObjectKey>();
    for (const key of dirty.policies) {
      const ref = refOfKey(key);
      const object = this.#served('Policy', ref);
      const policy = object === undefined ? null : modelPolicy(object);
      if (policy === null) {
        this.#policies.delete(key);
        this.#compiledPolicies.delete(key);
      } else this.#policies.set(key, policy);
      const { slots, policies } = this.#table.set(key, policy);
      for (const other of policies) verdicts.add(other);
      for (const slot of slots) this.#below(slot, dirty.routes);
    }
    for (const key of verdicts) {
      const policy = this.#policies.get(key);
      if (policy === undefined) {
        step.forget(key);
        continue;
      }
      if (dirty.policies.has(key)) {
        const compiled = compilePolicy(policy, { secrets: this.#secrets, allowLocal: this.#allowLocal });
        this.#compiledPolicies.set(key, compiled);
        step.put(key, this.#table.holdsSomewhere(key) ? compiled.resources : []);
      }
      const compiled = this.#compiledPolicies.get(key);
      step.tell(key, policyOutcome(policy, compiled, this.#table.verdict(key), step.idsOf(key)));
    }
  }

  #below(slot: Slot, routes: Set<ObjectKey>): void {
    if (slot.level === 'route' || slot.level === 'rule') {
      routes.add(`Route/${slot.namespace}/${slot.route}`);
      return;
    }
    if (slot.level === 'backend') {
      this.#usersOf({ kind: 'Backend', namespace: slot.namespace, name: slot.backend }, routes);
      return;
    }
    for (const [key, { ref }] of this.#routes) {
      if (slot.level === 'gateway' || slot.namespace === ref.namespace) routes.add(key);
    }
  }

  #settleBackend(ref: ObjectRef, dirty: Dirty, step: Step): void {
    const key = keyOf(ref);
    const object = this.#served('Backend', ref);
    const existed = this.#backends.has(key);
    const before = refusalOf(this.#backends.get(key), ref.namespace, ref.name);
    if (object === undefined) {
      this.#backends.delete(key);
      step.forget(key);
    } else {
      const backend = modelBackend(object, this.#surroundings(object.spec, ref.namespace));
      this.#backends.set(key, backend);
      step.put(key, compileBackend(backend));
      step.tell(key, backendOutcome(backend, step.idsOf(key)));
    }
    const after = refusalOf(this.#backends.get(key), ref.namespace, ref.name);
    if (existed !== this.#backends.has(key)) {
      for (const by of this.#store.references.referrers(ref)) if (by.kind === 'Policy') dirty.policies.add(keyOf(by));
    }
    if (!isDeepStrictEqual(before, after)) this.#usersOf(ref, dirty.routes);
  }

  #usersOf(backend: ObjectRef, routes: Set<ObjectKey>): void {
    for (const by of this.#store.references.referrers(backend)) {
      if (by.kind === 'Route' && this.#routes.has(keyOf(by))) routes.add(keyOf(by));
    }
  }

  #surroundings(spec: unknown, namespace: string) {
    const name = (spec as { service?: { name?: unknown } } | null | undefined)?.service?.name;
    const service = typeof name === 'string' ? this.#store.get('Service', namespace, name) : undefined;
    const slices =
      service === undefined
        ? []
        : [...this.#store.references.referrers({ kind: 'Service', namespace, name: service.metadata.name })].flatMap(
            (by) =>
              by.kind === 'EndpointSlice' ? (this.#store.get('EndpointSlice', by.namespace, by.name) ?? []) : [],
          );
    return { service, slices, secrets: this.#secrets, allowLocal: this.#allowLocal };
  }

  #settleRoute(key: ObjectKey, dirty: Dirty, step: Step): void {
    const route = this.#routes.get(key);
    for (const other of this.#collisions.set(key, route ?? null)) dirty.outcomes.add(other);
    for (const other of this.#tlsClaims.set(key, route ?? null)) dirty.outcomes.add(other);
    this.#tlsProblems.delete(key);
    if (route === undefined) {
      step.forget(key);
      return;
    }
    const failureOf = (namespace: string, name: string) => this.#refusal(namespace, name)?.failure ?? null;
    const tls = compileTls(route, { secrets: this.#secrets, failureOf });
    if (tls.problems.length > 0) this.#tlsProblems.set(key, tls.problems);
    step.put(key, [
      ...compileRoute(route, {
        failureOf,
        policiesOf: (namespace, name, rule) => {
          const effective = this.#table.effective(namespace, name, rule);
          return {
            ids: idsOf(effective),
            at: (backend) => {
              const own = this.#table.effectiveAt(namespace, backend, effective);
              return own === effective ? null : idsOf(own);
            },
          };
        },
      }),
      ...tls.resources,
    ]);
    dirty.outcomes.add(key);
  }

  #tellRoute(key: ObjectKey, step: Step): void {
    const route = this.#routes.get(key);
    if (route === undefined) return;
    const refusal = (name: string) => this.#refusal(route.ref.namespace, name);
    const problems = [...(this.#tlsProblems.get(key) ?? []), ...this.#tlsClaims.of(key)];
    step.tell(key, routeOutcome(route, refusal, this.#collisions.of(key), problems, step.idsOf(key)));
  }

  #refusal(namespace: string, name: string) {
    return refusalOf(this.#backends.get(`Backend/${namespace}/${name}`), namespace, name);
  }
}

function idsOf(effective: ReadonlyMap<SectionName, PolicyModel>): string[] {
  return [...effective].map(([section, policy]) => policyId(policy, section)).sort();
}

/** What policies can target of a Route; empty when there is none. */
function ruleNames(route: RouteModel | undefined): string {
  return route === undefined ? '' : `:${route.rules.map((rule) => rule.name).join(',')}`;
}
