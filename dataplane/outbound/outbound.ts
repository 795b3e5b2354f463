/**
 * Requests of the gateway's own to identity providers and authorizers. Every one is bounded in time and size, follows no redirects, and
 * none waits for a server that is known to be dead. The libraries are loaded with the first request.
 */
import type { OutboundRequest, OutboundResponse } from './message.ts';
import type { Transport } from './transport.ts';

export interface OutboundLimits {
  /** How long a server that failed is left alone before one request tries it again. */
  readonly restMs: number;
}

const LIMITS: OutboundLimits = { restMs: 1_000 };

export class Outbound {
  readonly #limits: OutboundLimits;
  #transport: Promise<Transport> | null = null;
  #closed = false;

  constructor(limits: Partial<OutboundLimits> = {}) {
    this.#limits = { ...LIMITS, ...limits };
  }

  /** Rejects with OutboundError, after `timeoutMs` at the latest; any status is an answer. */
  async request(request: OutboundRequest): Promise<OutboundResponse> {
    if (this.#closed) throw new Error('outbound requests are over: the worker ends');
    this.#transport ??= import('./transport.ts').then(({ Transport }) => new Transport(this.#limits));
    const transport = await this.#transport;
    return transport.request(request);
  }

  /** Ends connections and what waits on them. */
  async close(): Promise<void> {
    this.#closed = true;
    await (await this.#transport)?.close();
  }
}
