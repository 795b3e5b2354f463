/** The admin pages: health, readiness, metrics, what is served, and why a request gets its answer. Not for the public: they listen on a port of their own. */
import { fastify } from 'fastify';
import { DataplaneError } from '../errors.ts';

export interface AdminPages {
  /** Empty: ready. */
  readonly notReadyBecause: () => string;
  readonly metrics: () => Promise<{ readonly contentType: string; readonly text: string }>;
  /** Holds no secrets. */
  readonly config: () => Promise<unknown>;
  /** `request` is the document posted; see snapshot/explain.ts. Rejects with DP_EXPLAIN where it is none. */
  readonly explain: (request: unknown) => Promise<unknown>;
}

export interface AdminServer {
  readonly port: number;
  close(): Promise<void>;
}

const PAGES = {
  '/healthz': 'alive: 200 while the process runs',
  '/readyz': 'ready for traffic: 200, else 503 with the reason',
  '/metrics': 'Prometheus metrics',
  '/debug/config': 'what is served: revision, rules, policies, backends, what was rejected and why',
  '/debug/explain': 'POST a request as JSON: what would become of it, and why (tidegate explain)',
} as const;

/** Of a posted document: a request's head as JSON. */
const EXPLAIN_BYTES = 64 * 1024;

export async function startAdmin(host: string, port: number, pages: AdminPages): Promise<AdminServer> {
  const server = fastify({
    // No route has a schema: without compilers of its own fastify would load ajv and fast-json-stringify, 2 MB.
    schemaController: { compilersFactory: { buildValidator: noSchemas, buildSerializer: noSchemas } },
    bodyLimit: 1024,
    connectionTimeout: 10_000,
    requestTimeout: 10_000,
    keepAliveTimeout: 75_000,
    forceCloseConnections: true,
    exposeHeadRoutes: true,
  });
  server.addHook('onSend', async (_request, reply) => {
    reply.header('cache-control', 'no-store');
    reply.header('x-content-type-options', 'nosniff');
  });
  server.get('/', async () => ({ pages: PAGES }));
  server.get('/healthz', async () => ({ status: 'alive' }));
  server.get('/readyz', async (_request, reply) => {
    const reason = pages.notReadyBecause();
    if (reason === '') return { ready: true };
    reply.code(503);
    return { ready: false, reason };
  });
  server.get('/metrics', async (_request, reply) => {
    const { contentType, text } = await pages.metrics();
    reply.type(contentType);
    return text;
  });
  server.get('/debug/config', async () => pages.config());
  server.post('/debug/explain', { bodyLimit: EXPLAIN_BYTES }, async (request, reply) => {
    try {
      return await pages.explain(request.body);
    } catch (error) {
      if (!(error instanceof DataplaneError)) throw error;
      reply.code(error.code === 'DP_EXPLAIN' ? 400 : 503);
      return { error: error.message };
    }
  });
  server.setNotFoundHandler(async (request, reply) => {
    reply.code(404);
    return { error: `there is no page ${request.url.split('?')[0]}`, pages: PAGES };
  });
  await server.listen({ host, port });
  const address = server.server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : port,
    close: () => server.close(),
  };
}

function noSchemas(): never {
  throw new Error('the admin pages have no schemas');
}
