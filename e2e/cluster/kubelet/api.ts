import { Agent, request as httpsRequest, type RequestOptions } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';

/** What it takes to speak to the API server: PEM texts and the address. */
export interface ApiCredentials {
  /** https URL without a path. */
  server: string;
  ca: string;
  cert: string;
  key: string;
}

/** A refused or failed request; `status` is the HTTP status, 0 when no answer came. */
export class ApiError extends Error {
  readonly status: number;
  readonly reason: string;
  constructor(status: number, reason: string, message: string) {
    super(message);
    this.name = 'ApiError';
    this.status = status;
    this.reason = reason;
  }
}

export interface WatchEvent<T> {
  type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  object: T;
}

export interface WatchHandlers<T> {
  /** The complete state: at the start, and again after every interruption the watch could not bridge. */
  onList: (items: T[]) => void;
  onEvent: (type: 'ADDED' | 'MODIFIED' | 'DELETED', object: T) => void;
}

export type PatchKind = 'merge' | 'strategic';

const requestTimeoutMs = 15_000;
const watchSeconds = 300;

/** A small API client for what a kubelet does: one request at a time, and list-then-watch. */
export interface ApiClient {
  request: <T>(method: string, path: string, body?: unknown, patch?: PatchKind) => Promise<T>;
  listAndWatch: <T>(
    path: string,
    query: Record<string, string>,
    handlers: WatchHandlers<T>,
    signal: AbortSignal,
  ) => Promise<void>;
}

export function createApiClient(credentials: ApiCredentials): ApiClient {
  const url = new URL(credentials.server);
  const agent = new Agent({
    keepAlive: true,
    maxSockets: 64,
    ca: credentials.ca,
    cert: credentials.cert,
    key: credentials.key,
  });
  const base: RequestOptions = { host: url.hostname, port: url.port || 443, agent };

  const request = async <T>(method: string, path: string, body?: unknown, patch?: PatchKind): Promise<T> => {
    const payload = body === undefined ? undefined : JSON.stringify(body);
    const { status, text } = await exchange({ ...base, method, path, headers: headersFor(payload, patch) }, payload);
    if (status >= 200 && status < 300) return (text === '' ? {} : JSON.parse(text)) as T;
    throw toApiError(status, text);
  };

  const listAndWatch = async <T>(
    path: string,
    query: Record<string, string>,
    handlers: WatchHandlers<T>,
    signal: AbortSignal,
  ): Promise<void> => {
    let delayMs = 100;
    while (!signal.aborted) {
      try {
        const list = await request<{ items?: T[]; metadata: { resourceVersion: string } }>(
          'GET',
          withQuery(path, query),
        );
        handlers.onList(list.items ?? []);
        let version = list.metadata.resourceVersion;
        while (!signal.aborted) {
          version = await watchOnce(base, path, query, version, handlers, signal);
          delayMs = 100;
        }
      } catch {
        if (signal.aborted) return;
        await sleep(delayMs * (0.5 + Math.random()), undefined, { signal }).catch(() => undefined);
        delayMs = Math.min(delayMs * 2, 5_000);
      }
    }
  };

  return { request, listAndWatch };
}

function headersFor(payload: string | undefined, patch: PatchKind | undefined): Record<string, string | number> {
  const headers: Record<string, string | number> = { accept: 'application/json' };
  if (payload === undefined) return headers;
  headers['content-type'] =
    patch === undefined
      ? 'application/json'
      : patch === 'merge'
        ? 'application/merge-patch+json'
        : 'application/strategic-merge-patch+json';
  headers['content-length'] = Buffer.byteLength(payload);
  return headers;
}

function exchange(options: RequestOptions, payload: string | undefined): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const outgoing = httpsRequest({ ...options, timeout: requestTimeoutMs }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8') }),
      );
    });
    outgoing.on('timeout', () => outgoing.destroy(new Error(`no answer in ${requestTimeoutMs} ms`)));
    outgoing.on('error', (error) => reject(new ApiError(0, 'NoAnswer', error.message)));
    outgoing.end(payload);
  });
}

function toApiError(status: number, text: string): ApiError {
  try {
    const parsed = JSON.parse(text) as { reason?: string; message?: string };
    return new ApiError(status, parsed.reason ?? 'Unknown', parsed.message ?? text.slice(0, 300));
  } catch {
    return new ApiError(status, 'Unknown', text.slice(0, 300));
  }
}

/** Follows one watch to its end and returns the last resource version seen; throws when the state must be listed anew. */
function watchOnce<T>(
  base: RequestOptions,
  path: string,
  query: Record<string, string>,
  from: string,
  handlers: WatchHandlers<T>,
  signal: AbortSignal,
): Promise<string> {
  const full = withQuery(path, {
    ...query,
    watch: 'true',
    allowWatchBookmarks: 'true',
    resourceVersion: from,
    timeoutSeconds: String(watchSeconds),
  });
  return new Promise((resolve, reject) => {
    let version = from;
    const outgoing = httpsRequest(
      { ...base, method: 'GET', path: full, signal, headers: { accept: 'application/json' } },
      (response) => {
        if (response.statusCode !== 200) {
          response.resume();
          reject(new ApiError(response.statusCode ?? 0, 'WatchRefused', `watch ${path}: ${response.statusCode}`));
          return;
        }
        let rest = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          const lines = (rest + chunk).split('\n');
          rest = lines.pop() ?? '';
          for (const line of lines) {
            if (line === '') continue;
            const event = JSON.parse(line) as WatchEvent<T & { metadata?: { resourceVersion?: string } }>;
            if (event.type === 'ERROR') {
              outgoing.destroy();
              reject(new ApiError(410, 'Expired', `watch ${path} must be listed anew`));
              return;
            }
            version = event.object.metadata?.resourceVersion ?? version;
            if (event.type !== 'BOOKMARK') handlers.onEvent(event.type, event.object);
          }
        });
        response.on('error', reject);
        response.on('end', () => resolve(version));
      },
    );
    // The server ends a watch after timeoutSeconds; a connection silent for longer is dead.
    outgoing.setTimeout((watchSeconds + 30) * 1_000, () => outgoing.destroy(new Error('watch fell silent')));
    outgoing.on('error', reject);
    outgoing.end();
  });
}

function withQuery(path: string, query: Record<string, string>): string {
  const text = new URLSearchParams(query).toString();
  return text === '' ? path : `${path}?${text}`;
}
