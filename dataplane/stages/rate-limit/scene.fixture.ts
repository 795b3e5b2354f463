import { storeFixture } from '../../limit/store.fixture.ts';
import type { LimitStore } from '../../limit/store.ts';
import type { Stage } from '../../pipeline/chain.ts';
import type { Answer, Exchange } from '../../pipeline/exchange.ts';
import { Headers } from '../../pipeline/headers.ts';
import { type MemoryRequest, memoryExchange } from '../../pipeline/memory-downstream.ts';
import { type RateLimitSection, rateLimitSection } from '../../snapshot/sections/rate-limit.ts';
import { contextFixture } from '../context.fixture.ts';
import { createRateLimit } from './stage.ts';

export type LimitInput = Record<string, unknown>;

/** Two a second for each address. */
export const perSecond = (more: LimitInput = {}): LimitInput => ({
  name: 'per-client',
  algorithm: 'fixedWindow',
  limit: 2,
  windowMs: 1_000,
  key: [{ by: 'address' }],
  ...more,
});

export class RateLimitScene {
  readonly fixture = storeFixture();
  readonly context;
  readonly stage: Stage;
  readonly config: RateLimitSection;

  constructor(limits: LimitInput[], redis: LimitStore | null = null, more: Record<string, unknown> = {}) {
    const { services } = contextFixture();
    const memory = this.fixture.store;
    this.context = contextFixture({
      policy: 'policy/a/b/rateLimit',
      services: { ...services, limits: { memory, redis } },
    });
    this.config = rateLimitSection.parse({ section: 'rateLimit', limits, ...more });
    this.stage = createRateLimit(this.config, this.context);
  }

  exchange(from = '192.0.2.1', more: MemoryRequest = {}): Exchange {
    return memoryExchange('GET /', { clientAddress: from, ...more });
  }

  async ask(exchange = this.exchange()): Promise<Answer | undefined> {
    return (await this.stage.onRequest?.(exchange)) ?? undefined;
  }

  /** The response phase with fields of a backend; what the client then gets. */
  respond(exchange: Exchange, fields: string[] = []): Headers {
    exchange.responseHeaders = new Headers(fields);
    void this.stage.onResponse?.(exchange);
    return exchange.responseHeaders;
  }

  counts(): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const [key, value] of this.context.counters.image()) {
      const [, limit, outcome] = /limit=([^\0]+)\0outcome=([^\0]+)/.exec(key) ?? [];
      if (value > 0) counts[`${limit} ${outcome}`] = value;
    }
    return counts;
  }
}
