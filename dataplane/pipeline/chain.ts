/**
 * What a rule is compiled to when a generation is built. A stage that is not configured is simply not in the arrays.
 */
import type { RuleResource } from '../snapshot/resources.ts';
import type { Answer, Exchange } from './exchange.ts';

/**
 * Undefined: go on. An Answer: stop here and answer. A promise: the exchange waits (nothing of the request body is read meanwhile);
 * whoever returns one bounds the wait.
 */
export type Outcome = Answer | undefined;
export type RequestHandler = (exchange: Exchange) => Outcome | Promise<Outcome>;
/**
 * Runs when the response head is known (backend's or an answer's), before it is written; edits `exchange.responseHeaders`. It runs for
 * every response of the rule, also where an earlier stage answered and this stage's own request handler never ran.
 */
export type ResponseHandler = (exchange: Exchange) => void | Promise<void>;

/** Runs once when the exchange is over, however it ended, also where the stage's other handlers never ran. */
export type FinishHandler = (exchange: Exchange) => void;

export interface Explained {
  /** One line for the operator, such as `consumer acme (group gold)`; it quotes nothing of a credential. */
  readonly text: string;
  /** Null: the request goes on. Else what this stage would answer; `code` is empty where that is no error. */
  readonly answer: { readonly status: number; readonly code: string } | null;
}

/** One configured stage: what `create(config, deps)` returns. */
export interface Stage {
  readonly name: string;
  readonly onRequest?: RequestHandler;
  readonly onResponse?: ResponseHandler;
  readonly onFinish?: FinishHandler;
  /**
   * What it would do to this request, for `tidegate explain` (POST /debug/explain). Nobody is served and nothing may be used up: a limiter
   * looks without taking. What later stages go by is set (`exchange.identity`), as the request would. Stages without it are shown by name.
   */
  readonly explain?: (exchange: Exchange) => Explained | Promise<Explained>;
  /** Gives up what it holds (timers, connections). Called once, when the last exchange that could use it has finished. */
  readonly close?: () => void;
}

/** The end of the request phase: forwards, redirects, answers. Must lead to exactly one response or abort. */
export type Terminal = (exchange: Exchange) => void;

export interface CompiledRule {
  /** `rule/<namespace>/<route>/<rule>` */
  readonly id: string;
  readonly hash: string;
  readonly resource: RuleResource;
  readonly request: readonly RequestHandler[];
  /** In reverse order of the stages. */
  readonly response: readonly ResponseHandler[];
  /** Empty for most. */
  readonly finish: readonly FinishHandler[];
  readonly terminal: Terminal;
  /** ms, 0 is off. */
  readonly requestTimeoutMs: number;
  readonly backendTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly streamIdleTimeoutMs: number;
  /**
   * Where a backend of the rule has policies of its own: picks the backend for one request and answers what the rule is compiled to for it.
   * Null: the rule is the same for all of them, and its terminal picks.
   */
  readonly share: ((exchange: Exchange) => CompiledRule) | null;
}

/**
 * Where a rule stands in a router. When only what the rule does changes (its action, a policy), its place stays and the step that
 * takes the change puts the new chain here. Only the current generation is asked for matches, so those before do not see it.
 */
export interface RuleSlot {
  rule: CompiledRule;
}

/** One configuration as the pipeline sees it; an exchange holds the one it began on until it has finished. */
export interface Generation {
  /** False before the first snapshot: then "no route" says nothing about the configuration. */
  readonly configured: boolean;
  /** The rule for a request and the prefix that matched (see Exchange.matchedPrefix), or null. */
  match(exchange: Exchange): { readonly target: Readonly<RuleSlot>; readonly matchedPrefix: string } | null;
  retain(): void;
  release(): void;
}
