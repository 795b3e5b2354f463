/** A rule that forwards, with what it does besides: its split, its copies, its fallback. Without them nothing stands between. */
import { WEB } from '../grpc/call.ts';
import { translateWeb } from '../grpc/web/downstream.ts';
import type { FinishHandler, Terminal } from '../pipeline/chain.ts';
import type { Exchange } from '../pipeline/exchange.ts';
import { KeptBody } from '../pipeline/kept-body.ts';
import { direct } from '../pipeline/respond.ts';
import type { Pipeline } from '../pipeline/run.ts';
import { createSplit } from '../pipeline/split.ts';
import type { RuleResource } from '../snapshot/resources.ts';
import type { FallbackConfig } from '../snapshot/shaping.ts';
import { byWeight, type ForwardDeps } from '../stages/forward.ts';
import { StageError } from '../stages/stage-error.ts';
import { Fallback, type FallbackReason } from '../upstream/fallback.ts';
import {
  createMirrored,
  MIRROR_TIMEOUT_MS,
  type Mirror,
  type MirrorBudget,
  type MirrorResult,
} from '../upstream/mirrors.ts';
import type { ForwardOptions, Responder } from '../upstream/seam.ts';
import type { Upstream } from '../upstream/upstream.ts';
import type { RuntimeDeps } from './deps.ts';
import type { ForwardSettings } from './rule-chain.ts';

export interface ForwardSurroundings {
  readonly upstream: (id: string) => Upstream | undefined;
  readonly pipeline: Pipeline;
  readonly deps: RuntimeDeps;
  readonly mirrors: MirrorBudget;
}

type ForwardAction = Extract<RuleResource['action'], { kind: 'forward' }>;

/** `original` makes the terminal of what is forwarded by weight, the whole rule or one share of it. */
export function createShapedForward(
  resource: RuleResource,
  action: ForwardAction,
  settings: ForwardSettings,
  around: ForwardSurroundings,
  original: (deps: ForwardDeps) => Terminal,
): Terminal {
  const { pipeline, deps } = around;
  const { trustedHops, via } = deps.defaults;
  const options: ForwardOptions = {
    rewrite: action.rewrite ?? null,
    ...settings,
    trustedHops,
    via,
    streams: deps.streams ?? null,
    forwarded: deps.defaults.forwarded,
  };
  const fallback = fallbackOf(resource, action, options, around);
  const responder: Responder = fallback ?? pipeline;
  const backends = action.backends.flatMap(({ backend }) =>
    backend === undefined ? [] : (around.upstream(backend) ?? []),
  );
  /** gRPC-Web is translated where all that the rule forwards to speak gRPC: which one it will be is not known yet. */
  const translate = (exchange: Exchange): void => {
    if (backends.every(({ grpc }) => grpc)) translateWeb(exchange);
  };
  const forwarded = original({
    toBackend: (id) => {
      const upstream = around.upstream(id);
      if (upstream === undefined) throw new StageError('action.backends', `there is no ${id}, or it was rejected`);
      return (exchange) => {
        if (exchange.grpc >= WEB) translate(exchange);
        deps.forward(exchange, upstream, options, responder);
      };
    },
    reply: (exchange, answer) => {
      if (fallback?.takes(exchange) !== true) pipeline.reply(exchange, answer);
    },
    point: splitOf(resource, deps),
  });
  const terminal: Terminal =
    fallback === null
      ? forwarded
      : (exchange) => {
          if (exchange.grpc >= WEB) translate(exchange);
          fallback.prepare(exchange);
          forwarded(exchange);
        };
  const mirrors = mirrorsOf(action, options, around);
  if (mirrors.length === 0) return terminal;
  const { forward, now, random } = deps;
  const mirrored = createMirrored(terminal, mirrors, { budget: around.mirrors, forward, now, random });
  return (exchange) => {
    if (exchange.grpc >= WEB) translate(exchange);
    mirrored(exchange);
  };
}

/** The same for all rules of a Route, so that a user sees one version of it. */
export function splitOf({ namespace, route, action }: RuleResource, { random }: Pick<RuntimeDeps, 'random'>) {
  return createSplit(action.kind === 'forward' ? action.split : undefined, `${namespace}/${route}`, random);
}

/** Lets go of a body that was kept. */
export function finishersOf({ action }: RuleResource): FinishHandler[] {
  if (action.kind !== 'forward' || (action.mirrors === undefined && action.fallback?.backends === undefined)) return [];
  return [
    ({ downstream }) => {
      if (downstream instanceof KeptBody) downstream.abandon();
    },
  ];
}

/** Without those that are not there: a copy less is no reason to fail. */
function mirrorsOf({ mirrors = [] }: ForwardAction, options: ForwardOptions, around: ForwardSurroundings): Mirror[] {
  const { counter } = around.deps.stages;
  return mirrors.flatMap(({ backend, perMillion, bodyBytes }) => {
    const upstream = around.upstream(backend);
    if (upstream === undefined || perMillion === 0) return [];
    const count = (result: MirrorResult) => counter('mirrored', { backend: nameOf(backend), result });
    return {
      upstream,
      options: {
        ...options,
        requestTimeoutMs: MIRROR_TIMEOUT_MS,
        backendTimeoutMs: 0,
        idleTimeoutMs: 0,
        streams: null,
        retry: null,
      },
      perMillion,
      bodyBytes,
      counts: {
        answered: count('answered'),
        failed: count('failed'),
        'too-large': count('too-large'),
        incomplete: count('incomplete'),
        dropped: count('dropped'),
      },
    };
  });
}

/** Null: there is none, or none of its backends is there. */
function fallbackOf(
  { namespace, route }: RuleResource,
  { fallback: config }: ForwardAction,
  options: ForwardOptions,
  around: ForwardSurroundings,
): Fallback | null {
  if (config === undefined) return null;
  const go = fallbackTerminal(config, options, around);
  if (go === null) return null;
  const count = (on: FallbackReason) => around.deps.stages.counter('fallbacks', { route: `${namespace}/${route}`, on });
  return new Fallback(
    {
      on: new Set(config.on),
      statuses: new Set(config.statuses),
      methods: new Set(config.methods),
      bodyBytes: config.bodyBytes,
      direct: config.respond !== undefined,
      go,
      counts: {
        unavailable: count('unavailable'),
        reset: count('reset'),
        timeout: count('timeout'),
        status: count('status'),
      },
    },
    around.pipeline,
  );
}

function fallbackTerminal(
  { respond, backends = [] }: FallbackConfig,
  options: ForwardOptions,
  { upstream: find, pipeline, deps }: ForwardSurroundings,
): Terminal | null {
  if (respond !== undefined) {
    const body = Buffer.from(respond.body);
    return (exchange) => pipeline.reply(exchange, direct(respond.status, respond.contentType, body));
  }
  const shares = backends.flatMap(({ backend, weight }) => {
    const value = find(backend);
    return value === undefined ? [] : [{ weight, value }];
  });
  const pick = byWeight(shares, deps.random);
  return pick === null ? null : (exchange) => deps.forward(exchange, pick(exchange), options, pipeline);
}

function nameOf(id: string): string {
  return id.slice(id.indexOf('/') + 1);
}
