/** One rule and the parts it refers to → its chain and its place in the router. */
import type { CompiledRule, RequestHandler, ResponseHandler, RuleSlot, Stage, Terminal } from '../pipeline/chain.ts';
import type { Pipeline } from '../pipeline/run.ts';
import { compileRoutable, compileSalvage, type Routable } from '../router/candidate.ts';
import { canonicalJson } from '../snapshot/canonical.ts';
import type { RulePlace } from '../snapshot/decode.ts';
import type { Timeouts } from '../snapshot/primitives.ts';
import type { PolicySection, RuleResource } from '../snapshot/resources.ts';
import { PROTECTING } from '../snapshot/sections/fail.ts';
import { createFail } from '../stages/fail.ts';
import { createForward } from '../stages/forward.ts';
import { createRedirect } from '../stages/redirect.ts';
import { placeOf, sectionOf } from '../stages/registry.ts';
import { createRespond } from '../stages/respond.ts';
import { StageError } from '../stages/stage-error.ts';
import { createProblem } from '../stages/terminal.ts';
import { createTransform } from '../stages/transform.ts';
import type { ForwardOptions } from '../upstream/seam.ts';
import type { Upstream } from '../upstream/upstream.ts';
import type { RuntimeDeps } from './deps.ts';

/** A policy resource with the stage made of it; the stage is shared by all rules that refer to it. */
export interface PolicyPart {
  readonly config: PolicySection;
  /** Null where the section is no stage. */
  readonly stage: Stage | null;
}

/** Parts by resource id, as the next generation will have them. */
export interface Parts {
  policy(id: string): PolicyPart | undefined;
  upstream(id: string): Upstream | undefined;
}

export interface RulePart {
  readonly compiled: CompiledRule;
  /** Null: it can't be routed, so no request reaches it. */
  readonly routable: Routable<RuleSlot> | null;
  /** Holds `compiled` once the plan is taken. */
  readonly slot: RuleSlot;
  /** Null: its requests are refused. */
  readonly answersPreflight: boolean | null;
  /** The resource it was made of; of a refused rule the one that ran before, to go back to when its parts return. */
  readonly resource: RuleResource | null;
  /** Of `resource`. */
  readonly hash: string;
}

interface Placed {
  readonly place: number;
  readonly stage: Stage;
}

/**
 * Keeps the place of `before` in the router where only what the rule does has changed. Throws StageError or RouteError, naming the
 * field, where a part is missing or wrong.
 */
export function compileRule(
  resource: RuleResource,
  hash: string,
  before: RulePart | undefined,
  parts: Parts,
  pipeline: Pipeline,
  deps: RuntimeDeps,
): RulePart {
  const policies = policiesOf(resource, parts);
  const stages = stagesOf(resource, policies);
  const timeouts = timeoutsOf(resource, policies, deps);
  const compiled: CompiledRule = {
    id: resource.id,
    hash,
    resource,
    request: stages.flatMap((stage): RequestHandler[] => (stage.onRequest === undefined ? [] : [stage.onRequest])),
    response: stages
      .toReversed()
      .flatMap((stage): ResponseHandler[] => (stage.onResponse === undefined ? [] : [stage.onResponse])),
    terminal: terminalOf(resource, timeouts, parts, pipeline, deps),
    ...timeouts,
  };
  const answersPreflight = policies.some(({ config }) => config.section === 'cors');
  if (before?.routable && before.answersPreflight === answersPreflight && samePlace(resource, before.resource)) {
    return { compiled, routable: before.routable, slot: before.slot, answersPreflight, resource, hash };
  }
  const slot: RuleSlot = { rule: compiled };
  const routable = compileRoutable(resource, slot, answersPreflight);
  return { compiled, routable, slot, answersPreflight, resource, hash };
}

function samePlace(a: RuleResource, b: RuleResource | null): boolean {
  return a === b || (b !== null && canonicalJson(placeIn(a)) === canonicalJson(placeIn(b)));
}

function placeIn({ id, namespace, route, rule, createdAtMs, order, hosts, matches }: RulePlace): RulePlace {
  return { id, namespace, route, rule, createdAtMs, order: order ?? 0, hosts, matches };
}

/** A rule that could not be built and has no version before: its requests are answered 503, never passed on unprotected. */
export function compileRefusal(
  place: RulePlace,
  sent: RuleResource | null,
  before: RulePart | undefined,
  hash: string,
  pipeline: Pipeline,
): RulePart {
  const detail = 'This route could not be configured; the operator finds the reason in its status.';
  const compiled: CompiledRule = {
    id: place.id,
    hash,
    resource: sent ?? { ...place, kind: 'rule', action: REFUSED, policies: [], headers: {}, timeouts: {} },
    request: [],
    response: [],
    terminal: createProblem(REFUSED.status, REFUSED.code, detail, reply(pipeline)),
    requestTimeoutMs: 0,
    backendTimeoutMs: 0,
  };
  const slot: RuleSlot = { rule: compiled };
  return {
    compiled,
    routable: compileSalvage(place, slot),
    slot,
    answersPreflight: null,
    resource: before?.resource ?? null,
    hash: before?.hash ?? '',
  };
}

const REFUSED = { kind: 'fail', status: 503, code: 'route-rejected', message: '' } as const;

/** Ids a rule is to be rebuilt for when they come, go or change. */
export function referencesOf(rule: RuleResource): string[] {
  const backends = rule.action.kind === 'forward' ? rule.action.backends : [];
  return [...rule.policies, ...backends.flatMap(({ backend }) => (backend === undefined ? [] : [backend]))];
}

function policiesOf(resource: RuleResource, parts: Parts): PolicyPart[] {
  const sections = new Set<string>();
  return resource.policies.map((id, index) => {
    const part = parts.policy(id) ?? guardOf(id);
    if (part === undefined) throw new StageError(`policies[${index}]`, `there is no ${id}, or it was rejected`);
    const section = sectionOf(part.config);
    if (sections.has(section)) throw new StageError(`policies[${index}]`, `a second ${section} section`);
    sections.add(section);
    return part;
  });
}

/**
 * What stands for a protecting section that is not there or was rejected: refuses every request. Keeping the rule as it was would leave it
 * open where the section is new. The last part of a policy's id is its section.
 */
function guardOf(id: string): PolicyPart | undefined {
  const of = id.slice(id.lastIndexOf('/') + 1);
  if (!PROTECTING.has(of)) return undefined;
  const message = 'A protection of this route could not be configured; the operator finds the reason in its status.';
  const config = { section: 'fail', of, status: 503, code: 'policy-rejected', message } as const;
  return { config, stage: createFail(config) };
}

function stagesOf(resource: RuleResource, policies: readonly PolicyPart[]): Stage[] {
  const { headers } = resource;
  const ownEdits = headers.request !== undefined || headers.response !== undefined;
  const placed: Placed[] = [];
  let merged = false;
  for (const { config, stage } of policies) {
    if (stage === null) continue;
    if (ownEdits && config.section === 'transform') {
      placed.push({ place: placeOf(config), stage: createTransform(config, headers) });
      merged = true;
    } else {
      placed.push({ place: placeOf(config), stage });
    }
  }
  if (ownEdits && !merged) {
    placed.push({ place: placeOf({ section: 'transform' }), stage: createTransform(headers) });
  }
  return placed.sort((a, b) => a.place - b.place).map(({ stage }) => stage);
}

type CompiledTimeouts = Pick<CompiledRule, 'requestTimeoutMs' | 'backendTimeoutMs'>;

function timeoutsOf(resource: RuleResource, policies: readonly PolicyPart[], deps: RuntimeDeps): CompiledTimeouts {
  let policy: Timeouts = {};
  for (const { config } of policies) if (config.section === 'timeout') policy = config;
  return {
    requestTimeoutMs: resource.timeouts.requestMs ?? policy.requestMs ?? deps.defaults.requestTimeoutMs,
    backendTimeoutMs: resource.timeouts.backendMs ?? policy.backendMs ?? deps.defaults.backendTimeoutMs,
  };
}

function terminalOf(
  resource: RuleResource,
  timeouts: CompiledTimeouts,
  parts: Parts,
  pipeline: Pipeline,
  deps: RuntimeDeps,
): Terminal {
  const action = resource.action;
  switch (action.kind) {
    case 'forward': {
      const { idleTimeoutMs, trustedHops, via } = deps.defaults;
      const options: ForwardOptions = { rewrite: action.rewrite ?? null, ...timeouts, idleTimeoutMs, trustedHops, via };
      const toBackend = (id: string): Terminal => {
        const upstream = parts.upstream(id);
        if (upstream === undefined) throw new StageError('action.backends', `there is no ${id}, or it was rejected`);
        return (exchange) => deps.forward(exchange, upstream, options, pipeline);
      };
      return createForward(action, { toBackend, reply: reply(pipeline), random: deps.random });
    }
    case 'redirect':
      return createRedirect(action, reply(pipeline));
    case 'respond':
      return createRespond(action, reply(pipeline));
    case 'fail':
      return createProblem(action.status, action.code, action.message, reply(pipeline));
    default:
      return unknownAction(action);
  }
}

function reply(pipeline: Pipeline) {
  return pipeline.reply.bind(pipeline);
}

function unknownAction(action: never): never {
  throw new TypeError(`no terminal for ${JSON.stringify(action)}`);
}
