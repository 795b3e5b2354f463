/** undici for the connections, and a breaker for each origin. */
import CircuitBreaker from 'opossum';
import { Agent, errors, request as send } from 'undici';
import { describeRequest, type OutboundRequest, type OutboundResponse } from './message.ts';
import type { OutboundLimits } from './outbound.ts';
import { OutboundError } from './outbound-error.ts';

export const CONNECT_TIMEOUT_MS = 5_000;
/** Connections to one origin; HTTP/1.1, one request at a time on each. */
const MAX_CONNECTIONS = 64;
/** Requests to one origin that are under way or wait for a connection. */
export const MAX_IN_FLIGHT = 1_024;
/** Origins are named by the configuration, and by identity providers in their metadata. */
const MAX_ORIGINS = 256;
/** Failures are counted over this time; from VOLUME requests on, more than half of them failed opens the circuit. */
const WINDOW_MS = 10_000;
const VOLUME = 5;

const CONNECTIONS = {
  connect: { timeout: CONNECT_TIMEOUT_MS },
  connections: MAX_CONNECTIONS,
  maxHeaderSize: 16_384,
} as const;

interface Origin {
  readonly breaker: CircuitBreaker<[OutboundRequest], OutboundResponse>;
  inFlight: number;
}

export class Transport {
  readonly #limits: OutboundLimits;
  readonly #agent = new Agent({ ...CONNECTIONS, pipelining: 1 });
  /** A connection each: where a server closed one it has closed its others too. */
  readonly #fresh = new Agent({ ...CONNECTIONS, pipelining: 0 });
  /** In the order of their last use. */
  readonly #origins = new Map<string, Origin>();

  constructor(limits: OutboundLimits) {
    this.#limits = limits;
  }

  async request(request: OutboundRequest): Promise<OutboundResponse> {
    const origin = this.#originOf(request);
    // Not opossum's `capacity`: it takes what was never sent for a failure of the server.
    if (origin.inFlight >= MAX_IN_FLIGHT)
      throw new OutboundError('overloaded', `${describeRequest(request)}: too many requests wait for this server`);
    origin.inFlight++;
    try {
      return await origin.breaker.fire(request);
    } catch (error) {
      if (error instanceof OutboundError || !CircuitBreaker.isOurError(error as Error)) throw error;
      throw new OutboundError('circuit-open', `${describeRequest(request)}: the server failed a moment ago`);
    } finally {
      origin.inFlight--;
    }
  }

  async close(): Promise<void> {
    for (const { breaker } of this.#origins.values()) breaker.shutdown();
    await Promise.all([this.#agent.destroy(), this.#fresh.destroy()]);
  }

  #originOf({ url }: OutboundRequest): Origin {
    const name = new URL(url).origin;
    const known = this.#origins.get(name);
    const origin = known ?? this.#createOrigin();
    this.#origins.delete(name);
    this.#origins.set(name, origin);
    if (this.#origins.size > MAX_ORIGINS) {
      const oldest = this.#origins.keys().next().value as string;
      this.#origins.get(oldest)?.breaker.shutdown();
      this.#origins.delete(oldest);
    }
    return origin;
  }

  #createOrigin(): Origin {
    let recoveries = 0;
    /** Failures of requests that were sent before the server was well again. */
    const oldNews = new WeakSet<object>();
    const send = async (request: OutboundRequest): Promise<OutboundResponse> => {
      const sentAfter = recoveries;
      try {
        return await this.#send(request);
      } catch (error) {
        if (sentAfter !== recoveries) oldNews.add(error as object);
        throw error;
      }
    };
    const breaker: Origin['breaker'] = new CircuitBreaker(send, {
      // Each request has its own.
      timeout: false,
      resetTimeout: this.#limits.restMs,
      rollingCountTimeout: WINDOW_MS,
      volumeThreshold: VOLUME,
      errorThresholdPercentage: 50,
      rollingPercentilesEnabled: false,
      enableSnapshots: false,
      // Whoever sends too much is alive.
      errorFilter: (error: unknown) =>
        error instanceof OutboundError && (error.code === 'too-large' || (breaker.closed && oldNews.has(error))),
    });
    breaker.on('close', () => recoveries++);
    return { breaker, inFlight: 0 };
  }

  /** The timer decides, not the signal: undici heeds a signal only once the request has its connection. */
  #send(request: OutboundRequest): Promise<OutboundResponse> {
    return new Promise((resolve, reject) => {
      const abort = new AbortController();
      const timer = setTimeout(() => {
        reject(new OutboundError('timeout', `${describeRequest(request)}: no answer within ${request.timeoutMs} ms`));
        abort.abort();
      }, request.timeoutMs);
      this.#exchangeTwice(request, abort.signal)
        .then(resolve, (error: unknown) => reject(failureOf(request, error)))
        .finally(() => clearTimeout(timer));
    });
  }

  async #exchangeTwice(request: OutboundRequest, signal: AbortSignal): Promise<OutboundResponse> {
    const { method, repeatable = method === 'GET' || method === 'HEAD' } = request;
    try {
      return await this.#exchange(request, signal, this.#agent);
    } catch (error) {
      if (!repeatable || signal.aborted || !isBroken(error)) throw error;
      return this.#exchange(request, signal, this.#fresh);
    }
  }

  async #exchange(request: OutboundRequest, signal: AbortSignal, dispatcher: Agent): Promise<OutboundResponse> {
    const { statusCode, headers, body } = await send(request.url, {
      dispatcher,
      method: request.method as 'GET',
      headers: request.headers ?? {},
      body: request.body ?? null,
      signal,
      // The timer above is the only one.
      headersTimeout: 0,
      bodyTimeout: 0,
    });
    const chunks: Buffer[] = [];
    let length = 0;
    // Leaving the loop destroys the body, and the connection with it.
    for await (const chunk of body as AsyncIterable<Buffer>) {
      length += chunk.length;
      if (length > request.maxBytes)
        throw new OutboundError('too-large', `${describeRequest(request)}: more than ${request.maxBytes} bytes`);
      chunks.push(chunk);
    }
    return { status: statusCode, headers, body: chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks) };
  }
}

/** A connection that was there, and ended. */
function isBroken(error: unknown): boolean {
  if (error instanceof errors.SocketError) return true;
  const { code } = error as { code?: unknown };
  return code === 'ECONNRESET' || code === 'EPIPE';
}

function failureOf(request: OutboundRequest, error: unknown): OutboundError {
  if (error instanceof OutboundError) return error;
  const what = describeRequest(request);
  if (error instanceof errors.ConnectTimeoutError)
    return new OutboundError('timeout', `${what}: no connection within ${CONNECT_TIMEOUT_MS} ms`, error);
  if (error instanceof errors.HeadersOverflowError)
    return new OutboundError('too-large', `${what}: the head of the answer is too long`, error);
  return new OutboundError('unreachable', `${what}: ${reasonOf(error)}`, error);
}

/** `connect ECONNREFUSED 127.0.0.1:1`; of several addresses tried, the first one's. */
function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors[0] instanceof Error) return error.errors[0].message;
  return error instanceof Error ? error.message : String(error);
}
