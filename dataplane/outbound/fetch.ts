/** The Fetch interface over an Outbound, for libraries that ask servers themselves. */
import type { Outbound } from './outbound.ts';

export interface FetchLimits {
  readonly timeoutMs: number;
  readonly maxBytes: number;
}

interface FetchOptions {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

export type OutboundFetch = (url: string, options?: FetchOptions) => Promise<Response>;

/** Statuses whose answer has no body (Fetch, "null body status"). */
const NO_BODY: ReadonlySet<number> = new Set([101, 103, 204, 205, 304]);

/** Rejects with OutboundError. Follows no redirect. */
export function createFetch(http: Outbound, { timeoutMs, maxBytes }: FetchLimits): OutboundFetch {
  return async (url, { method = 'GET', headers = {}, body } = {}) => {
    const sent = body === undefined || body === null ? {} : { body: body instanceof Uint8Array ? body : String(body) };
    const answer = await http.request({ method, url, headers, timeoutMs, maxBytes, ...sent });
    const received = new Headers();
    for (const [name, value] of Object.entries(answer.headers)) {
      for (const one of Array.isArray(value) ? value : [value ?? '']) received.append(name, one);
    }
    const content = NO_BODY.has(answer.status) ? null : new Uint8Array(answer.body);
    return new Response(content, { status: answer.status, headers: received });
  };
}
