/** The admin pages: health, readiness, metrics, and what is served. Not for the public: they listen on a port of their own. */
import { fastify } from 'fastify';

export interface AdminPages {
  /** Empty: ready. */
  readonly notReadyBecause: () => string;
  readonly metrics: () => Promise<{ readonly contentType: string; readonly text: string }>;
  /** Holds no secrets. */
  readonly config: () => Promise<unknown>;
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
} as const;

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
