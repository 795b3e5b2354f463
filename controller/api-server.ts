/** Requests to the Kubernetes API server: JSON in and out, bounded in time and size, credentials kept fresh. */
import { Agent, type Dispatcher, request as undiciRequest } from 'undici';
import { ControllerError, describeError } from './errors.ts';

/** What it takes to be let in; asked for again before every request, so it may change. */
export interface ApiCredentials {
  /** `https://host:port` */
  readonly server: string;
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
  /** Verifies the server's certificate against this name instead of the host. */
  readonly serverName: string | undefined;
  readonly skipVerify: boolean;
  /** Value of the authorization header. */
  readonly authorization: string | undefined;
}

export type CredentialsSource = () => Promise<ApiCredentials>;

export interface ApiRequest {
  readonly method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** From `/`, without query. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string | undefined>>;
  readonly body?: unknown;
  /** Of the body; `application/json` unless told. */
  readonly contentType?: string;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** The API server's answer with an error status. */
export class ApiStatusError extends ControllerError {
  readonly status: number;
  /** `metav1.Status.reason`, e.g. `Conflict`, `Expired`, `NotFound`; empty when the body was no Status. */
  readonly reason: string;

  constructor(status: number, reason: string, message: string) {
    super('CTL_API_STATUS', message, { retryable: status === 429 || status >= 500 || status === 409 });
    this.name = 'ApiStatusError';
    this.status = status;
    this.reason = reason;
  }
}

export function isApiStatus(error: unknown, status: number): boolean {
  return error instanceof ApiStatusError && error.status === status;
}

const REQUEST_TIMEOUT_MS = 30_000;
const CONNECT_TIMEOUT_MS = 5_000;
/** A page of 500 large objects stays well below. */
const MAX_BODY_BYTES = 256 * 1024 * 1024;
const MAX_LINE_BYTES = 16 * 1024 * 1024;
const MAX_ERROR_BYTES = 64 * 1024;

export class ApiServer {
  readonly #credentials: CredentialsSource;
  #agent: { readonly key: string; readonly dispatcher: Agent } | null = null;

  constructor(credentials: CredentialsSource) {
    this.#credentials = credentials;
  }

  /** The decoded answer. Throws ApiStatusError, or ControllerError CTL_API_UNREACHABLE or CTL_API_CONTENT. */
  async request<T>(options: ApiRequest): Promise<T> {
    const timeout = AbortSignal.timeout(options.timeoutMs ?? REQUEST_TIMEOUT_MS);
    const signal = options.signal === undefined ? timeout : AbortSignal.any([timeout, options.signal]);
    const response = await this.#send(options, signal);
    const text = await reading(readAll(response.body, MAX_BODY_BYTES));
    try {
      return JSON.parse(text) as T;
    } catch (cause) {
      throw new ControllerError('CTL_API_CONTENT', `${options.path}: the answer is no JSON`, { cause });
    }
  }

  /**
   * The answer line by line, as a watch sends it. Ends when the server ends it; throws CTL_API_UNREACHABLE when it breaks off
   * or nothing at all comes for `silenceMs`.
   */
  async *lines(options: ApiRequest, silenceMs: number): AsyncGenerator<string[], void, void> {
    const silence = new AbortController();
    let timer = setTimeout(() => silence.abort(), silenceMs);
    const signal = options.signal === undefined ? silence.signal : AbortSignal.any([silence.signal, options.signal]);
    try {
      const response = await this.#send(options, signal);
      const splitter = new LineSplitter();
      const chunks = response.body[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
      for (;;) {
        const { value, done } = await reading(chunks.next());
        if (done === true) return;
        clearTimeout(timer);
        timer = setTimeout(() => silence.abort(), silenceMs);
        const lines = splitter.push(value);
        if (lines.length > 0) yield lines;
      }
    } finally {
      clearTimeout(timer);
      silence.abort();
    }
  }

  async close(): Promise<void> {
    await this.#agent?.dispatcher.destroy();
    this.#agent = null;
  }

  async #send(options: ApiRequest, signal: AbortSignal): Promise<Dispatcher.ResponseData> {
    let response: Dispatcher.ResponseData;
    try {
      const credentials = await this.#credentials();
      const url = new URL(credentials.server.replace(/\/$/, '') + options.path);
      for (const [name, value] of Object.entries(options.query ?? {})) {
        if (value !== undefined) url.searchParams.set(name, value);
      }
      response = await undiciRequest(url, {
        dispatcher: this.#dispatcher(credentials),
        method: options.method ?? 'GET',
        headers: {
          accept: 'application/json',
          'user-agent': 'tidegate-controller',
          ...(credentials.authorization === undefined ? {} : { authorization: credentials.authorization }),
          ...(options.body === undefined ? {} : { 'content-type': options.contentType ?? 'application/json' }),
        },
        body: options.body === undefined ? null : JSON.stringify(options.body),
        signal,
        headersTimeout: 0,
        bodyTimeout: 0,
      });
    } catch (cause) {
      throw unreachable(cause);
    }
    if (response.statusCode < 300) return response;
    throw await statusError(options.path, response);
  }

  #dispatcher(credentials: ApiCredentials): Agent {
    const { ca, cert, key, serverName, skipVerify } = credentials;
    const identity = JSON.stringify([ca, cert, key, serverName, skipVerify]);
    if (this.#agent?.key === identity) return this.#agent.dispatcher;
    // Requests under way finish on the one before, which then closes itself.
    void this.#agent?.dispatcher.close();
    const dispatcher = new Agent({
      connections: 64,
      keepAliveTimeout: 30_000,
      connect: {
        timeout: CONNECT_TIMEOUT_MS,
        keepAlive: true,
        keepAliveInitialDelay: 15_000,
        rejectUnauthorized: !skipVerify,
        ...(ca === undefined ? {} : { ca }),
        ...(cert === undefined ? {} : { cert }),
        ...(key === undefined ? {} : { key }),
        ...(serverName === undefined ? {} : { servername: serverName }),
      },
    });
    this.#agent = { key: identity, dispatcher };
    return dispatcher;
  }
}

/** Cuts bytes into lines; a line may come in many chunks. */
export class LineSplitter {
  #parts: Buffer[] = [];
  #length = 0;

  push(chunk: Buffer): string[] {
    const lines: string[] = [];
    let from = 0;
    for (;;) {
      const end = chunk.indexOf(10, from);
      if (end === -1) break;
      this.#add(chunk.subarray(from, end));
      if (this.#length > 0) lines.push(Buffer.concat(this.#parts).toString('utf8'));
      this.#parts = [];
      this.#length = 0;
      from = end + 1;
    }
    this.#add(chunk.subarray(from));
    return lines;
  }

  #add(part: Buffer): void {
    if (part.byteLength === 0) return;
    this.#length += part.byteLength;
    if (this.#length > MAX_LINE_BYTES) {
      throw new ControllerError('CTL_API_CONTENT', `a line is longer than ${MAX_LINE_BYTES} bytes`);
    }
    this.#parts.push(part);
  }
}

async function readAll(body: AsyncIterable<Buffer>, maxBytes: number): Promise<string> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const part of body) {
    length += part.byteLength;
    if (length > maxBytes) throw new ControllerError('CTL_API_CONTENT', `the answer is longer than ${maxBytes} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}

async function reading<T>(promise: Promise<T>): Promise<T> {
  try {
    return await promise;
  } catch (cause) {
    throw unreachable(cause);
  }
}

async function statusError(path: string, response: Dispatcher.ResponseData): Promise<ApiStatusError> {
  let status: { reason?: unknown; message?: unknown } = {};
  let text = '';
  try {
    text = await readAll(response.body, MAX_ERROR_BYTES);
    status = JSON.parse(text) as typeof status;
  } catch {
    // The status code says enough.
  }
  const reason = typeof status.reason === 'string' ? status.reason : '';
  const message = typeof status.message === 'string' ? status.message : text.slice(0, 200);
  return new ApiStatusError(response.statusCode, reason, `${path}: ${response.statusCode} ${message}`);
}

function unreachable(cause: unknown): ControllerError {
  if (cause instanceof ControllerError) return cause;
  return new ControllerError('CTL_API_UNREACHABLE', `no answer from the API server: ${describeError(cause)}`, {
    retryable: true,
    cause,
  });
}
