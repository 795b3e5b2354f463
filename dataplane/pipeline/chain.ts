/**
 * What a rule is compiled to when a generation is built. A stage that is not configured is simply not in the arrays.
 */
import type { RuleResource } from '../snapshot/resources.ts';
import type { Answer, Exchange } from './exchange.ts';

/** Undefined: go on. An Answer: stop here and answer. */
export type Outcome = Answer | undefined;
export type RequestHandler = (exchange: Exchange) => Outcome | Promise<Outcome>;
/** Runs when the response head is known (backend's or an answer's), before it is written; edits `exchange.responseHeaders`. */
export type ResponseHandler = (exchange: Exchange) => void | Promise<void>;

/** One configured stage: what `create(config, deps)` returns. */
export interface Stage {
  readonly name: string;
  readonly onRequest?: RequestHandler;
  readonly onResponse?: ResponseHandler;
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
  readonly terminal: Terminal;
  /** ms, 0 is off. */
  readonly requestTimeoutMs: number;
  readonly backendTimeoutMs: number;
}
