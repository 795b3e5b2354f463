/**
 * One step of the configuration, planned beside the running one: what is made, what is kept, what is rejected. Nothing that runs is
 * touched before the plan is taken (runtime.ts). Cost follows the change: only what changed, and what refers to it, is made anew.
 *
 * A resource that can't be used keeps what it had before, with the other parts as they are now; where it had nothing, its rules
 * are answered 503. A rule counts as unusable when a part it refers to is missing.
 */
import { messageOf } from '../errors.ts';
import type { RuleSlot, Stage } from '../pipeline/chain.ts';
import type { Pipeline } from '../pipeline/run.ts';
import type { Routable } from '../router/candidate.ts';
import { RouteError } from '../router/route-error.ts';
import type { HostRouter } from '../router/router.ts';
import type { CredentialsResource } from '../snapshot/credentials.ts';
import { decodeResource, decodeRulePlace, type Rejection, type ResourceBytes } from '../snapshot/decode.ts';
import type { BackendResource, EndpointsResource, PolicyResource, RuleResource } from '../snapshot/resources.ts';
import type { CertificateResource, TlsResource, TrustResource } from '../snapshot/tls.ts';
import { createStage, referencesOfSection } from '../stages/registry.ts';
import { Secret } from '../stages/secret.ts';
import { StageError } from '../stages/stage-error.ts';
import { passthroughHost, refusingHost, type TlsHost, terminatingHost } from '../tls/host.ts';
import { createTlsSettings, type Materials, NO_MATERIALS, sameMaterials } from '../upstream/dial/tls-settings.ts';
import type { MirrorBudget } from '../upstream/mirrors.ts';
import { compileRefusal, compileRule, type Parts, policyIdsOf, type RulePart, referencesOf } from './compile-rule.ts';
import type { RuntimeDeps } from './deps.ts';
import type { Held, HeldBackend, HeldPolicy, Ledger } from './ledger.ts';
import type { Troubles } from './troubles.ts';

export interface Change {
  readonly upsert: readonly ResourceBytes[];
  readonly removed: readonly string[];
}

/** Null in a map: it goes. */
export interface Plan {
  readonly held: ReadonlyMap<string, Held | null>;
  readonly policies: ReadonlyMap<string, HeldPolicy | null>;
  /** `made`: a new upstream; else the one there is gets the new resources when the plan is taken. */
  readonly backends: ReadonlyMap<string, (HeldBackend & { readonly made: boolean }) | null>;
  readonly tls: ReadonlyMap<string, TlsHost | null>;
  readonly rules: ReadonlyMap<string, RulePart | null>;
  readonly references: ReadonlyMap<string, readonly string[]>;
  /** Null: no longer rejected. */
  readonly rejected: ReadonlyMap<string, Rejection | null>;
  readonly router: HostRouter<RuleSlot>;
}

export interface PlanContext {
  readonly ledger: Ledger;
  readonly router: HostRouter<RuleSlot>;
  /** Index of the generation planned. */
  readonly generation: number;
  readonly pipeline: Pipeline;
  readonly deps: RuntimeDeps;
  readonly mirrors: MirrorBudget;
  readonly troubles: Troubles;
}

/** Throws only on a mistake of ours; then nothing has changed. */
export function planStep(change: Change, context: PlanContext): Plan {
  const draft = new Draft(context);
  try {
    draft.decode(change);
    draft.planPolicies();
    draft.planBackends();
    draft.planTls();
    draft.planRules();
    return draft.finish();
  } catch (error) {
    for (const backend of draft.backends.values()) if (backend?.made) backend.upstream.close();
    for (const policy of draft.policies.values()) {
      policy?.hush();
      policy?.stage?.close?.();
    }
    throw error;
  }
}

class Draft implements Parts {
  readonly held = new Map<string, Held | null>();
  readonly policies = new Map<string, HeldPolicy | null>();
  readonly backends = new Map<string, (HeldBackend & { made: boolean }) | null>();
  readonly tls = new Map<string, TlsHost | null>();
  readonly rules = new Map<string, RulePart | null>();
  readonly references = new Map<string, readonly string[]>();
  readonly rejected = new Map<string, Rejection | null>();
  readonly #dirtyPolicies = new Set<string>();
  readonly #dirtyBackends = new Set<string>();
  readonly #dirtyTls = new Set<string>();
  readonly #dirtyRules = new Set<string>();
  readonly #context: PlanContext;

  constructor(context: PlanContext) {
    this.#context = context;
  }

  policy(id: string): HeldPolicy | undefined {
    return overlaid(this.policies, this.#context.ledger.policies, id);
  }

  upstream(id: string) {
    return overlaid(this.backends, this.#context.ledger.backends, id)?.upstream;
  }

  decode(change: Change): void {
    const { ledger } = this.#context;
    for (const id of change.removed) {
      if (!ledger.held.has(id)) continue;
      this.held.set(id, null);
      this.rejected.set(id, null);
    }
    for (const bytes of change.upsert) {
      if (this.held.get(bytes.id) === undefined && ledger.held.get(bytes.id)?.hash === bytes.hash) continue;
      const decoded = decodeResource(bytes);
      const { id, hash } = bytes;
      this.rejected.set(id, decoded.ok ? null : decoded);
      this.held.set(
        id,
        decoded.ok
          ? { hash, resource: decoded.resource, place: null }
          : { hash, resource: null, place: decodeRulePlace(bytes) },
      );
    }
    for (const id of this.held.keys()) {
      this.#markDirty(id);
      if (PARTS.test(id)) for (const dependent of ledger.dependentsOf(id)) this.#markDirty(dependent);
    }
  }

  #markDirty(id: string): void {
    if (id.startsWith('policy/')) this.#dirtyPolicies.add(id);
    else if (id.startsWith('backend/')) this.#dirtyBackends.add(id);
    else if (id.startsWith('rule/')) this.#dirtyRules.add(id);
    else if (id.startsWith('tls/')) this.#dirtyTls.add(id);
  }

  planPolicies(): void {
    for (const id of this.#dirtyPolicies) {
      const held = this.#heldOf(id);
      if (held === undefined) {
        this.references.set(id, []);
        this.policies.set(id, null);
      } else if (held.resource?.kind === 'policy') {
        this.#planPolicy(id, held.resource, held.hash);
      }
      if (this.policies.has(id)) this.#markDependents(id);
    }
  }

  #planPolicy(id: string, resource: PolicyResource, hash: string): void {
    const { ledger, generation, deps, troubles } = this.#context;
    this.references.set(id, [...referencesOfSection(resource.config)]);
    const voice = troubles.voice(id);
    try {
      const stage = createStage(resource.config, {
        policy: id,
        now: deps.now,
        epochMs: deps.stages.epochMs,
        random: deps.random,
        setTimer: deps.setTimer,
        secret: (secret) => this.#secret(secret),
        credentials: (credentials) => this.#credentials(credentials),
        previous: ledger.policies.get(id)?.stage ?? null,
        trouble: voice.say,
        counter: (name, labels) => deps.stages.counter(name, { ...labels, policy: resource.source }),
        services: deps.stages.services,
      });
      this.rejected.set(id, null);
      this.policies.set(id, { resource, config: resource.config, stage, born: generation, hush: voice.end });
    } catch (error) {
      voice.end();
      this.#reject(id, hash, error, 'config.');
      // Of a policy that never ran nothing is kept: a protecting one is refused for (compile-rule.ts).
      if (!ledger.policies.has(id)) this.policies.set(id, null);
    }
  }

  #secret(id: string): Secret | undefined {
    const resource = this.#heldOf(id)?.resource;
    return resource?.kind === 'secret' ? new Secret(Buffer.from(resource.value, 'base64')) : undefined;
  }

  #credentials(id: string): CredentialsResource | undefined {
    const resource = this.#heldOf(id)?.resource;
    return resource?.kind === 'credentials' ? resource : undefined;
  }

  planBackends(): void {
    for (const id of this.#dirtyBackends) this.#planBackend(id);
  }

  #planBackend(id: string): void {
    const { ledger, generation, deps } = this.#context;
    const before = ledger.backends.get(id);
    const held = this.#heldOf(id);
    if (held === undefined) {
      this.references.set(id, []);
      if (before === undefined) return;
      this.backends.set(id, null);
      this.#markDependents(id);
      return;
    }
    const sent = held.resource?.kind === 'backend' ? held.resource : null;
    this.references.set(id, [...new Set([sent, before?.resource].flatMap((one) => (one ? partsOf(one) : [])))]);
    const given = sent === null ? null : this.#partsOf(sent, before);
    if (sent !== null && given instanceof StageError) this.#reject(id, held.hash, given);
    else if (sent !== null) this.rejected.set(id, null);
    const found = given instanceof StageError ? null : given;
    const resource = found === null ? before?.resource : sent;
    const parts =
      found ?? (before && { ...before, endpoints: this.#endpointsOf(before.resource, before) ?? before.endpoints });
    if (!resource || !parts) {
      this.#markDependents(id);
      return;
    }
    const { endpoints, materials } = parts;
    if (before !== undefined) {
      this.backends.set(id, { ...before, resource, endpoints, materials, made: false });
    } else {
      try {
        const upstream = deps.createUpstream(resource, endpoints, materials);
        this.backends.set(id, { resource, endpoints, materials, upstream, born: generation, made: true });
      } catch (error) {
        this.#reject(id, held.hash, error);
      }
      this.#markDependents(id);
    }
  }

  /** What a backend is made of; an error where a part is missing, or broken. */
  #partsOf(
    backend: BackendResource,
    before: HeldBackend | undefined,
  ): Pick<HeldBackend, 'endpoints' | 'materials'> | StageError {
    const endpoints = this.#endpointsOf(backend, before);
    if (endpoints === null) return new StageError('endpoints', `there is no ${backend.endpoints}, or it was rejected`);
    const { tls } = backend;
    if (tls === undefined) return { endpoints, materials: NO_MATERIALS };
    const certificate = tls.certificate === undefined ? null : this.#heldOf(tls.certificate)?.resource;
    if (certificate !== null && certificate?.kind !== 'certificate')
      return new StageError('tls.certificate', `there is no ${tls.certificate}, or it was rejected`);
    const trust = tls.trust === undefined ? null : this.#heldOf(tls.trust)?.resource;
    if (trust !== null && trust?.kind !== 'trust')
      return new StageError('tls.trust', `there is no ${tls.trust}, or it was rejected`);
    const materials = before === undefined ? { certificate, trust } : kept(before.materials, { certificate, trust });
    try {
      if (materials !== before?.materials) createTlsSettings(tls, materials);
    } catch (error) {
      return new StageError('tls', `can not be used: ${messageOf(error)}`);
    }
    return { endpoints, materials };
  }

  /** What was sent, else what the backend had from the same resource before. */
  #endpointsOf(backend: BackendResource, before: HeldBackend | undefined): EndpointsResource | null {
    const held = this.#heldOf(backend.endpoints);
    if (held?.resource?.kind === 'endpoints') return held.resource;
    return held !== undefined && before?.endpoints.id === backend.endpoints ? before.endpoints : null;
  }

  planTls(): void {
    for (const id of this.#dirtyTls) {
      const held = this.#heldOf(id);
      const before = this.#context.ledger.tls.get(id);
      if (held === undefined) {
        this.references.set(id, []);
        if (before !== undefined) this.tls.set(id, null);
        continue;
      }
      const { resource } = held;
      // What could not be decoded names no hosts; what there was before goes on.
      if (resource?.kind !== 'tls') continue;
      this.references.set(id, partsOfTls(resource));
      try {
        this.tls.set(id, this.#makeTls(resource));
        this.rejected.set(id, null);
      } catch (error) {
        this.#reject(id, held.hash, error);
        // With nothing before, the hosts must not fall to the certificate of a wider one.
        if (before === undefined) this.tls.set(id, refusingHost(resource));
      }
    }
  }

  #makeTls(resource: TlsResource): TlsHost {
    const { action } = resource;
    if (action.kind === 'fail') return refusingHost(resource);
    if (action.kind === 'passthrough') {
      const upstream = this.upstream(action.backend);
      if (upstream === undefined)
        throw new StageError('action.backend', `there is no ${action.backend}, or it was rejected`);
      return passthroughHost(resource, upstream);
    }
    const { certificate, clientCertificate } = action;
    const shown = this.#part(certificate, 'certificate', 'action.certificate') as CertificateResource;
    const trust =
      clientCertificate === undefined
        ? null
        : (this.#part(clientCertificate.trust, 'trust', 'action.clientCertificate.trust') as TrustResource);
    return terminatingHost(resource, shown, trust, this.#context.deps.tickets ?? null);
  }

  #part(id: string, kind: 'certificate' | 'trust', field: string): CertificateResource | TrustResource {
    const resource = this.#heldOf(id)?.resource;
    if (resource?.kind !== kind) throw new StageError(field, `there is no ${id}, or it was rejected`);
    return resource as CertificateResource | TrustResource;
  }

  planRules(): void {
    for (const id of this.#dirtyRules) {
      const held = this.#heldOf(id);
      const before = this.#context.ledger.rules.get(id);
      const part = held === undefined ? null : this.#planRule(id, held, before);
      if (part !== null || before !== undefined) this.rules.set(id, part);
      if (!this.held.has(id) && part?.resource === before?.resource) continue;
      const resources = [held?.resource, part?.resource].flatMap((one) => (one?.kind === 'rule' ? [one] : []));
      this.references.set(id, [...new Set(resources.flatMap(referencesOf))]);
    }
  }

  #planRule(id: string, held: Held, before: RulePart | undefined): RulePart | null {
    const { pipeline } = this.#context;
    const sent = held.resource?.kind === 'rule' ? held.resource : null;
    if (sent !== null) {
      const part = this.#tryRule(sent, held.hash, before, (error) => this.#reject(id, held.hash, error));
      if (part !== null) {
        const missing = policyIdsOf(sent).find((policy) => this.#heldOf(policy) === undefined);
        if (missing === undefined) this.rejected.set(id, null);
        else
          this.#reject(id, held.hash, new StageError('policies', `there is no ${missing}: its requests are refused`));
        return part;
      }
    }
    const old = before?.resource ?? null;
    if (old !== null && old !== sent && before !== undefined) {
      const part = this.#tryRule(old, before.hash, before, () => {});
      if (part !== null) return part;
    }
    const place = sent ?? held.place ?? old;
    return place === null ? null : compileRefusal(place, sent, before, held.hash, pipeline);
  }

  #tryRule(
    resource: RuleResource,
    hash: string,
    before: RulePart | undefined,
    reject: (error: unknown) => void,
  ): RulePart | null {
    const { pipeline, deps, mirrors } = this.#context;
    try {
      return compileRule(resource, hash, before, this, { pipeline, deps, mirrors });
    } catch (error) {
      reject(error);
      return null;
    }
  }

  finish(): Plan {
    const { ledger, router } = this.#context;
    const removed: Routable<RuleSlot>[] = [];
    const added: Routable<RuleSlot>[] = [];
    for (const [id, part] of this.rules) {
      const before = ledger.rules.get(id)?.routable;
      if (before === part?.routable) continue;
      if (before) removed.push(before);
      if (part?.routable) added.push(part.routable);
    }
    const next = removed.length + added.length === 0 ? router : router.next({ removed, added });
    return {
      held: this.held,
      policies: this.policies,
      backends: this.backends,
      tls: this.tls,
      rules: this.rules,
      references: this.references,
      rejected: this.rejected,
      router: next,
    };
  }

  #heldOf(id: string): Held | undefined {
    return overlaid(this.held, this.#context.ledger.held, id);
  }

  #markDependents(id: string): void {
    for (const dependent of this.#context.ledger.dependentsOf(id)) this.#markDirty(dependent);
  }

  #reject(id: string, hash: string, error: unknown, prefix = ''): void {
    const known = error instanceof StageError || error instanceof RouteError;
    // A mistake of ours in one stage must not keep all other changes from going live.
    const message = known ? prefix + error.message : `could not be built: ${messageOf(error)}`;
    this.rejected.set(id, { id, hash, message });
  }
}

/** What other resources are made of, and nothing by itself. */
const PARTS = /^(?:endpoints|secret|credentials|certificate|trust)\//;

function partsOf({ endpoints, tls }: BackendResource): string[] {
  return [endpoints, tls?.certificate, tls?.trust].filter((id) => id !== undefined);
}

/** The materials as they were, where they are the same. */
function kept(before: Materials, now: Materials): Materials {
  return sameMaterials(before, now) ? before : now;
}

function partsOfTls({ action }: TlsResource): string[] {
  if (action.kind === 'passthrough') return [action.backend];
  if (action.kind === 'fail') return [];
  return [action.certificate, ...(action.clientCertificate === undefined ? [] : [action.clientCertificate.trust])];
}

function overlaid<V>(over: ReadonlyMap<string, V | null>, base: ReadonlyMap<string, V>, id: string): V | undefined {
  const value = over.get(id);
  return value === null ? undefined : (value ?? base.get(id));
}

/** Stages of policies that a plan puts others in the place of. */
export function replacedStages(plan: Plan, ledger: Ledger): { stage: Stage; born: number }[] {
  return [...plan.policies.keys()].flatMap((id) => {
    const old = ledger.policies.get(id);
    old?.hush();
    return old?.stage?.close === undefined ? [] : [{ stage: old.stage, born: old.born }];
  });
}
