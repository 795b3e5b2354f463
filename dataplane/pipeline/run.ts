/**
 * Drives one exchange: route, request handlers in order, terminal; then the response handlers in reverse, for a backend's
 * response and for an answer of ours alike. Synchronous until a stage really waits. Whatever happens, an exchange ends in
 * exactly one response (or a broken-off one) and one `onFinish`.
 */
import { callKindOf, NO_CALL } from '../grpc/call.ts';
import { CANCELLED, statusOfAnswer } from '../grpc/status.ts';
import { parseTimeout } from '../grpc/timeout.ts';
import { toTrailersOnly } from '../grpc/trailers-only.ts';
import type { CompiledRule, Generation, ResponseHandler } from './chain.ts';
import { type Answer, type Exchange, NO_BODY } from './exchange.ts';
import { isAcceptableRequestId } from './request-id.ts';
import { detailOf, problem } from './respond.ts';

/** What a stage, forward or a listener did against the contract, or a stage that threw; for the log, never for the client. */
export type LogError = (message: string, exchange: Exchange, error: unknown) => void;

export interface PipelineDeps {
  readonly newRequestId: () => string;
  /** Take a well-formed x-request-id of the client. Only behind trusted hops: else anyone could write another's id into the log. */
  readonly trustRequestId: boolean;
  /** Called exactly once an exchange, last of all: access log, metrics. */
  readonly onFinish: (exchange: Exchange) => void;
  readonly logError: LogError;
  /** ms on the clock of `exchange.startedAtMs`. */
  readonly now: () => number;
  /** Runs `run` after `delayMs` unless what it returns is called before. */
  readonly setTimer: (run: () => void, delayMs: number) => () => void;
}

/** A backend's response that waits for the response handlers (see PendingResponse in upstream/seam.ts). */
interface Pending {
  proceed(): void;
  discard(): void;
}

export class Pipeline {
  /** Exchanges begun and not finished. */
  inFlight = 0;
  /** Exchanges begun since the start. */
  total = 0;
  readonly #deps: PipelineDeps;

  constructor(deps: PipelineDeps) {
    this.#deps = deps;
  }

  /** Takes an exchange from a listener, under the generation given, until it has finished. */
  handle(exchange: Exchange, generation: Generation): void {
    this.inFlight++;
    this.total++;
    generation.retain();
    exchange.generation = generation;
    exchange.requestId = this.#requestId(exchange);
    if (exchange.method === 'POST') exchange.grpc = callKindOf(exchange.headers.get('content-type'));
    try {
      const match = generation.match(exchange);
      if (match === null) {
        if (generation.configured) this.answer(exchange, 404, 'no-route', 'No route matches this request.');
        else this.answer(exchange, 503, 'not-configured', 'This gateway has not received its configuration yet.');
        return;
      }
      const { rule } = match.target;
      exchange.rule = rule.share === null ? rule : rule.share(exchange);
      exchange.matchedPrefix = match.matchedPrefix;
    } catch (error) {
      this.#fail(exchange, 'routing failed', error);
      return;
    }
    exchange.headers.set('x-request-id', exchange.requestId);
    if (exchange.grpc !== NO_CALL && !this.#takeTimeout(exchange)) return;
    this.#request(exchange, exchange.rule, 0);
  }

  /** Takes an exchange and answers it at once: it is not routed. */
  turnAway(
    exchange: Exchange,
    generation: Generation,
    status: number,
    code: string,
    detail: string,
    retryAfterS = 1,
  ): void {
    this.inFlight++;
    this.total++;
    generation.retain();
    exchange.generation = generation;
    exchange.requestId = this.#requestId(exchange);
    if (exchange.method === 'POST') exchange.grpc = callKindOf(exchange.headers.get('content-type'));
    this.answer(exchange, status, code, detail, retryAfterS);
  }

  /** Answers an exchange that has no response head yet, through the response handlers of its rule. */
  reply(exchange: Exchange, answer: Answer): void {
    if (exchange.finished || exchange.headWritten) {
      this.#deps.logError('answered twice', exchange, new Error(`second answer: ${answer.status} ${answer.code}`));
      return;
    }
    this.#take(exchange, answer);
    const waiting = this.#response(exchange, 0);
    if (waiting === null) this.#write(exchange, answer.body);
    else if (waiting instanceof Error) this.#failResponse(exchange, waiting);
    else
      this.#await(
        exchange,
        waiting,
        0,
        () => this.#write(exchange, answer.body),
        (error) => this.#failResponse(exchange, error),
      );
  }

  /** Responder.answer: forward got no response. */
  answer(exchange: Exchange, status: number, code: string, detail: string, retryAfterS = 0): void {
    const answer = problem(status, code, detail, exchange.requestId);
    if (retryAfterS > 0) answer.headers.set('retry-after', String(retryAfterS));
    this.reply(exchange, answer);
  }

  /** Responder.respond: the backend's response head is there. */
  respond(exchange: Exchange, response: Pending): void {
    exchange.responseHeaders?.set('x-request-id', exchange.requestId);
    const waiting = this.#response(exchange, 0);
    if (waiting === null) {
      exchange.headWritten = true;
      response.proceed();
      return;
    }
    const fail = (error: unknown) => {
      // Forward calls finish when the client leaves meanwhile; then there is nobody to answer.
      if (exchange.finished) return;
      response.discard();
      this.#failResponse(exchange, error);
    };
    if (waiting instanceof Error) {
      fail(waiting);
      return;
    }
    waiting.then(() => {
      if (exchange.finished) return;
      exchange.headWritten = true;
      response.proceed();
    }, fail);
  }

  /** Responder.finish, and the end of every answer. */
  finish(exchange: Exchange): void {
    if (exchange.finished) {
      this.#deps.logError('finished twice', exchange, new Error('finish'));
      return;
    }
    exchange.finished = true;
    this.inFlight--;
    if (exchange.rule !== null && exchange.rule.finish.length > 0) this.#finishStages(exchange, exchange.rule);
    try {
      this.#deps.onFinish(exchange);
    } catch (error) {
      this.#deps.logError('onFinish threw', exchange, error);
    }
    try {
      exchange.generation?.release();
    } catch (error) {
      this.#deps.logError('the generation before could not be closed', exchange, error);
    }
  }

  #finishStages(exchange: Exchange, { finish }: CompiledRule): void {
    for (const handler of finish) {
      try {
        handler(exchange);
      } catch (error) {
        this.#deps.logError('a stage could not finish', exchange, error);
      }
    }
  }

  #requestId(exchange: Exchange): string {
    if (this.#deps.trustRequestId) {
      const id = exchange.headers.get('x-request-id');
      if (id !== undefined && isAcceptableRequestId(id)) return id;
    }
    return this.#deps.newRequestId();
  }

  /** False: the client's deadline can't be read, and it was told so. */
  #takeTimeout(exchange: Exchange): boolean {
    const timeout = exchange.headers.get('grpc-timeout');
    if (timeout === undefined) return true;
    const timeoutMs = parseTimeout(timeout);
    if (timeoutMs < 0) {
      this.answer(exchange, 400, 'grpc-timeout', 'The grpc-timeout field is malformed.');
      return false;
    }
    exchange.deadlineMs = exchange.startedAtMs + timeoutMs;
    return true;
  }

  #request(exchange: Exchange, rule: CompiledRule, from: number): void {
    const handlers = rule.request;
    try {
      for (let i = from; i < handlers.length; i++) {
        const outcome = (handlers[i] as (typeof handlers)[number])(exchange);
        if (outcome === undefined) continue;
        if (outcome instanceof Promise) {
          this.#await(
            exchange,
            outcome,
            rule.requestTimeoutMs,
            (late) => {
              if (late === undefined) this.#request(exchange, rule, i + 1);
              else this.reply(exchange, late);
            },
            (error) => this.#fail(exchange, 'stage failed', error),
          );
          return;
        }
        this.reply(exchange, outcome);
        return;
      }
      rule.terminal(exchange);
    } catch (error) {
      this.#fail(exchange, 'stage failed', error);
    }
  }

  /** Null when all ran, the error when one threw, a promise when one waits. */
  #response(exchange: Exchange, from: number): null | Error | Promise<void> {
    const handlers = exchange.rule === null ? NO_HANDLERS : exchange.rule.response;
    for (let i = from; i < handlers.length; i++) {
      try {
        const waiting = (handlers[i] as ResponseHandler)(exchange);
        if (waiting instanceof Promise) {
          return waiting.then(() => {
            const rest = this.#response(exchange, i + 1);
            if (rest instanceof Error) throw rest;
            return rest ?? undefined;
          });
        }
      } catch (error) {
        return error instanceof Error ? error : new Error(String(error));
      }
    }
    return null;
  }

  /** Waits for a stage while the client may leave, and no longer than the rule's request time-out (0: as long as the stage). */
  #await<V>(
    exchange: Exchange,
    waiting: Promise<V>,
    timeoutMs: number,
    then: (value: V) => void,
    fail: (error: unknown) => void,
  ): void {
    let settled = false;
    let cancel = () => {};
    const settle = () => {
      if (settled) return false;
      settled = true;
      cancel();
      exchange.downstream.onClose = null;
      return true;
    };
    exchange.downstream.onClose = () => {
      if (!settle()) return;
      exchange.status = 499;
      exchange.code = 'client-closed';
      if (exchange.grpc !== NO_CALL) exchange.grpcStatus = CANCELLED;
      this.finish(exchange);
    };
    const { deadlineMs } = exchange;
    let untilMs = timeoutMs > 0 ? exchange.startedAtMs + timeoutMs : deadlineMs;
    if (deadlineMs > 0 && deadlineMs < untilMs) untilMs = deadlineMs;
    if (untilMs > 0) {
      const leftMs = untilMs - this.#deps.now();
      cancel = this.#deps.setTimer(
        () => {
          if (settle())
            this.answer(exchange, 504, 'request-timeout', 'The request took longer than this route allows.');
        },
        Math.max(0, leftMs),
      );
    }
    waiting.then(
      (value) => settle() && then(value),
      (error) => settle() && fail(error),
    );
  }

  #take(exchange: Exchange, answer: Answer): void {
    exchange.status = answer.status;
    exchange.code = answer.code;
    exchange.responseHeaders = answer.headers;
    answer.headers.set('x-request-id', exchange.requestId);
  }

  #fail(exchange: Exchange, message: string, error: unknown): void {
    this.#deps.logError(message, exchange, error);
    if (exchange.finished) return;
    if (exchange.headWritten) this.#breakOff(exchange);
    else this.reply(exchange, internalError(exchange));
  }

  /** A response handler failed: it is not asked again about the answer that says so. */
  #failResponse(exchange: Exchange, error: unknown): void {
    this.#deps.logError('response stage failed', exchange, error);
    const answer = internalError(exchange);
    this.#take(exchange, answer);
    this.#write(exchange, answer.body);
  }

  #write(exchange: Exchange, body: Answer['body']): void {
    const { downstream, status } = exchange;
    if (exchange.grpc !== NO_CALL && (exchange.code !== '' || status >= 400)) {
      this.#writeStatus(exchange, body);
      return;
    }
    const headers = exchange.responseHeaders as Answer['headers'];
    const bytes = typeof body === 'string' ? Buffer.from(body) : body;
    exchange.headWritten = true;
    try {
      downstream.onClose = null;
      if (status === 204 || status === 304) {
        downstream.writeHead(status, headers, NO_BODY);
      } else {
        // To HEAD the length a GET would have had, and no body (RFC 9110 section 9.3.2).
        downstream.writeHead(status, headers, bytes?.byteLength ?? 0);
        if (bytes !== null && bytes.byteLength > 0 && exchange.method !== 'HEAD') downstream.write(bytes, null);
      }
      downstream.end(null);
      this.finish(exchange);
    } catch (error) {
      this.#deps.logError('answer could not be written', exchange, error);
      if (!exchange.finished) this.#breakOff(exchange);
    }
  }

  /** To a gRPC client: the status of its protocol in place of the problem document. Log and metrics keep the HTTP status. */
  #writeStatus(exchange: Exchange, body: Answer['body']): void {
    const { code, downstream, grpc, protocol, status } = exchange;
    const headers = exchange.responseHeaders as Answer['headers'];
    exchange.headWritten = true;
    exchange.grpcStatus = statusOfAnswer(status);
    try {
      toTrailersOnly(headers, grpc, exchange.grpcStatus, detailOf({ status, code, headers, body }));
      downstream.onClose = null;
      downstream.writeHead(200, headers, protocol === 'HTTP/2' ? NO_BODY : 0);
      downstream.end(null);
      this.finish(exchange);
    } catch (error) {
      this.#deps.logError('answer could not be written', exchange, error);
      if (!exchange.finished) this.#breakOff(exchange);
    }
  }

  #breakOff(exchange: Exchange): void {
    exchange.code = 'internal-error';
    exchange.downstream.onClose = null;
    exchange.downstream.abort();
    this.finish(exchange);
  }
}

const NO_HANDLERS: readonly ResponseHandler[] = [];

function internalError(exchange: Exchange): Answer {
  return problem(500, 'internal-error', 'The gateway failed to handle this request.', exchange.requestId);
}
