/**
 * Stands in for the API server where a test needs what a real one can't be made to do (fail now, conflict then, stay silent):
 * objects by path with resourceVersions, and a handler that may answer first. e2e/controller runs against the real one.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type ApiCredentials, type ApiRequest, ApiServer } from './api-server.ts';

type Json = Record<string, unknown>;

export interface TestObject extends Json {
  metadata: { name: string; resourceVersion?: string } & Json;
}

export interface TestRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly body: Json | null;
}

/** Undefined: the store answers. */
export type TestHandler = (request: TestRequest, response: ServerResponse) => boolean | Promise<boolean>;

/** Knows how many requests are under way. */
class CountingApi extends ApiServer {
  pending = 0;

  override async request<T>(options: ApiRequest): Promise<T> {
    this.pending += 1;
    try {
      return await super.request<T>(options);
    } finally {
      this.pending -= 1;
    }
  }
}

export class TestApi {
  readonly objects = new Map<string, TestObject>();
  readonly requests: TestRequest[] = [];
  /** True when it has answered. */
  handler: TestHandler = () => false;
  readonly api: CountingApi;
  readonly credentials: () => Promise<ApiCredentials>;
  readonly #server: Server;
  #version = 100;

  private constructor(server: Server, port: number) {
    this.#server = server;
    this.credentials = async () => ({
      server: `http://127.0.0.1:${port}`,
      ca: undefined,
      cert: undefined,
      key: undefined,
      serverName: undefined,
      skipVerify: false,
      authorization: 'Bearer test',
    });
    this.api = new CountingApi(this.credentials);
  }

  static async start(): Promise<TestApi> {
    let self: TestApi | null = null;
    const server = createServer((request, response) => void self?.answer(request, response));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    self = new TestApi(server, typeof address === 'object' && address !== null ? address.port : 0);
    return self;
  }

  async stop(): Promise<void> {
    await this.api.close();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** Resolves when no request is under way and what waited for the last one has run. */
  async settled(): Promise<void> {
    for (let calm = 0; calm < 3; calm++) {
      if (this.api.pending > 0) calm = 0;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  put(path: string, object: TestObject): TestObject {
    const stored = { ...object, metadata: { ...object.metadata, resourceVersion: String(++this.#version) } };
    this.objects.set(path, stored);
    return stored;
  }

  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://test');
    let text = '';
    for await (const chunk of request) text += chunk;
    const asked: TestRequest = {
      method: request.method ?? 'GET',
      path: url.pathname,
      query: url.searchParams,
      body: text === '' ? null : (JSON.parse(text) as Json),
    };
    this.requests.push(asked);
    if (!(await this.handler(asked, response))) this.#store(asked, response);
  }

  #store(asked: TestRequest, response: ServerResponse): void {
    const answer = this.#outcome(asked);
    if ('reason' in answer) failure(response, answer.status, answer.reason);
    else send(response, answer.status, answer.object);
  }

  #outcome({
    method,
    path,
    body,
  }: TestRequest): { status: number; object: TestObject } | { status: number; reason: string } {
    const at = path.replace(/\/status$/, '');
    const held = this.objects.get(at);
    if (method === 'POST') {
      const created = `${path}/${(body as TestObject).metadata.name}`;
      if (this.objects.has(created)) return { status: 409, reason: 'AlreadyExists' };
      return { status: 201, object: this.put(created, body as TestObject) };
    }
    if (held === undefined) return { status: 404, reason: 'NotFound' };
    if (method === 'GET') return { status: 200, object: held };
    const version = (body?.metadata as Json | undefined)?.resourceVersion;
    if (version !== undefined && version !== held.metadata.resourceVersion) return { status: 409, reason: 'Conflict' };
    const next = method === 'PUT' ? body : merge(held, body ?? {});
    return { status: 200, object: this.put(at, next as TestObject) };
  }
}

export function send(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

export function failure(response: ServerResponse, code: number, reason: string): void {
  send(response, code, { kind: 'Status', status: 'Failure', reason, code, message: `${reason} told by the test` });
}

/** RFC 7386 */
function merge(target: unknown, patch: Json): Json {
  const out: Json =
    typeof target === 'object' && target !== null && !Array.isArray(target) ? { ...(target as Json) } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete out[name];
    else if (typeof value === 'object' && !Array.isArray(value)) out[name] = merge(out[name], value as Json);
    else out[name] = value;
  }
  return out;
}

/** Resolves when `done` holds; rejects after 10 s. */
export async function eventually(done: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!done()) {
    if (performance.now() > deadline) throw new Error(`never ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Long enough for what was wrongly begun to show. */
export function quiet(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 50));
}
