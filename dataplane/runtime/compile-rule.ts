/** One rule and the parts it refers to → its chain and its place in the router. */
import type {
  CompiledRule,
  FinishHandler,
  RequestHandler,
  ResponseHandler,
  RuleSlot,
  Terminal,
} from '../pipeline/chain.ts';
import type { Pipeline } from '../pipeline/run.ts';
import { compileRoutable, compileSalvage, type Routable } from '../router/candidate.ts';
import { canonicalJson } from '../snapshot/canonical.ts';
import type { RulePlace } from '../snapshot/decode.ts';
import type { RuleResource } from '../snapshot/resources.ts';
import { byWeight, createForward, createShare } from '../stages/forward.ts';
import { createRedirect } from '../stages/redirect.ts';
import { sectionOf } from '../stages/registry.ts';
import { createRespond } from '../stages/respond.ts';
import { createProblem } from '../stages/terminal.ts';
import { retryOptions } from '../upstream/retry/options.ts';
import type { Upstream } from '../upstream/upstream.ts';
import type { RuntimeDeps } from './deps.ts';
import {
  type ChainSection,
  type ForwardSettings,
  type PolicyPart,
  retryOf,
  sectionsOf,
  stagesOf,
  timeoutsOf,
} from './rule-chain.ts';
import { createShapedForward, type ForwardSurroundings, finishersOf, splitOf } from './shaped-forward.ts';

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

/**
 * Keeps the place of `before` in the router where only what the rule does has changed. Throws StageError or RouteError, naming the
 * field, where a part is missing or wrong.
 */
export function compileRule(
  resource: RuleResource,
  hash: string,
  before: RulePart | undefined,
  parts: Parts,
  surroundings: Omit<ForwardSurroundings, 'upstream'>,
): RulePart {
  const { deps } = surroundings;
  const around = { ...surroundings, parts, upstream: (id: string) => parts.upstream(id) };
  const all = sectionsOf(resource.policies, 'policies', (id) => parts.policy(id));
  const whole = chain(resource, hash, all, deps, (settings) => terminalOf(resource, settings, around));
  const shares = sharesOf(resource, hash, all, around);
  const pick = shares === null ? null : byWeight(shares, splitOf(resource, deps));
  const compiled: CompiledRule = pick === null ? whole : { ...whole, share: pick };
  const answersPreflight = [all, ...(shares ?? []).map(({ sections }) => sections)].some((sections) =>
    sections.some(({ config }) => config.section === 'cors'),
  );
  if (before?.routable && before.answersPreflight === answersPreflight && samePlace(resource, before.resource)) {
    return { compiled, routable: before.routable, slot: before.slot, answersPreflight, resource, hash };
  }
  const slot: RuleSlot = { rule: compiled };
  const routable = compileRoutable(resource, slot, answersPreflight);
  return { compiled, routable, slot, answersPreflight, resource, hash };
}

interface Around extends ForwardSurroundings {
  readonly parts: Parts;
}

interface Share {
  readonly weight: number;
  readonly sections: readonly ChainSection[];
  readonly value: CompiledRule;
}

function chain(
  resource: RuleResource,
  hash: string,
  sections: readonly ChainSection[],
  deps: RuntimeDeps,
  terminal: (settings: ForwardSettings) => Terminal,
): CompiledRule {
  const stages = stagesOf(resource, sections).map(({ stage }) => stage);
  const { shedding } = deps.stages;
  if (shedding !== null && !sections.some(({ config }) => sectionOf(config) === 'shedding')) stages.unshift(shedding);
  const timeouts = timeoutsOf(resource, sections, deps.defaults);
  const retry = retryOf(resource, sections);
  return {
    id: resource.id,
    hash,
    resource,
    request: stages.flatMap((stage): RequestHandler[] => (stage.onRequest === undefined ? [] : [stage.onRequest])),
    response: stages
      .toReversed()
      .flatMap((stage): ResponseHandler[] => (stage.onResponse === undefined ? [] : [stage.onResponse])),
    finish: stages
      .flatMap((stage): FinishHandler[] => (stage.onFinish === undefined ? [] : [stage.onFinish]))
      .concat(finishersOf(resource)),
    terminal: terminal({ ...timeouts, retry: retry === undefined ? null : retryOptions(retry.settings) }),
    ...timeouts,
    share: null,
  };
}

/** Null where no backend of the rule has policies of its own. */
function sharesOf(resource: RuleResource, hash: string, all: readonly ChainSection[], around: Around): Share[] | null {
  const { action } = resource;
  if (action.kind !== 'forward' || action.backends.every(({ policies }) => policies === undefined)) return null;
  return action.backends.map((one, index) => {
    const field = `action.backends[${index}].policies`;
    const sections =
      one.policies === undefined ? all : sectionsOf(one.policies, field, (id) => around.parts.policy(id));
    const value = chain(resource, hash, sections, around.deps, (settings) =>
      createShapedForward(resource, action, settings, around, (forwardDeps) => createShare(one, forwardDeps)),
    );
    return { weight: one.weight, sections, value };
  });
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
    finish: [],
    terminal: createProblem(REFUSED.status, REFUSED.code, detail, reply(pipeline)),
    requestTimeoutMs: 0,
    backendTimeoutMs: 0,
    idleTimeoutMs: 0,
    streamIdleTimeoutMs: 0,
    share: null,
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

/** Of the rule and of its shares, each once. */
export function policyIdsOf({ policies, action }: RuleResource): string[] {
  const shares = action.kind === 'forward' ? action.backends.flatMap((one) => one.policies ?? []) : [];
  return [...new Set([...policies, ...shares])];
}

/** Of those it forwards to, copies to and falls back on. */
function backendIdsOf(action: RuleResource['action']): string[] {
  if (action.kind !== 'forward') return [];
  const all = [...action.backends, ...(action.mirrors ?? []), ...(action.fallback?.backends ?? [])];
  return [...new Set(all.flatMap(({ backend }) => backend ?? []))];
}

/** Ids a rule is to be rebuilt for when they come, go or change. */
export function referencesOf(rule: RuleResource): string[] {
  return [...policyIdsOf(rule), ...backendIdsOf(rule.action)];
}

function terminalOf(resource: RuleResource, settings: ForwardSettings, around: Around): Terminal {
  const { action } = resource;
  const { pipeline } = around;
  switch (action.kind) {
    case 'forward':
      return createShapedForward(resource, action, settings, around, (forwardDeps) =>
        createForward(action, forwardDeps),
      );
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
