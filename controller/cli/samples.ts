/** Small backends for the example configuration, so that a first run has something to talk to. */
import http from 'node:http';

export interface SampleServers {
  readonly ports: readonly number[];
  close(): Promise<void>;
}

export const SAMPLE_PORTS = { hello: [9001, 9002], orders: [9003], shadow: [9004] } as const;

/** Listens on 127.0.0.1 only. */
export async function startSamples(): Promise<SampleServers> {
  const servers = await Promise.all([
    ...SAMPLE_PORTS.hello.map((port) => listen(port, hello(port))),
    ...SAMPLE_PORTS.orders.map((port) => listen(port, orders)),
    ...SAMPLE_PORTS.shadow.map((port) => listen(port, shadow())),
  ]);
  return {
    ports: Object.values(SAMPLE_PORTS).flat(),
    close: async () => {
      await Promise.all(
        servers.map((server) => {
          const closed = new Promise<void>((resolve) => server.close(() => resolve()));
          server.closeAllConnections();
          return closed;
        }),
      );
    },
  };
}

function hello(port: number): http.RequestListener {
  return (request, response) => {
    request.resume();
    response.setHeader('content-type', 'text/plain');
    response.end(`Hello from the backend on port ${port}: ${request.method} ${request.url}\n`);
  };
}

const orders: http.RequestListener = (request, response) => {
  request.resume();
  const id = /^\/v1\/orders\/([0-9]{1,9})$/.exec(request.url ?? '')?.[1];
  response.setHeader('content-type', 'application/json');
  if (id === undefined) {
    response.statusCode = 404;
    response.end(`${JSON.stringify({ error: 'no such order' })}\n`);
    return;
  }
  const { 'x-tenant': tenant = null, 'x-consumer': consumer = null } = request.headers;
  const order = { id: Number(id), item: 'lighthouse', quantity: 1, tenant, consumer };
  response.end(`${JSON.stringify(order)}\n`);
};

/** How late it answers a copy: a client that waited for it would notice. */
const SHADOW_DELAY_MS = 5_000;

/** Counts the copies it gets, and says so to who asks. */
function shadow(): http.RequestListener {
  let copies = 0;
  let last = '';
  return (request, response) => {
    request.resume();
    response.setHeader('content-type', 'text/plain');
    if (request.headers['x-mirrored'] === undefined) {
      response.end(`${copies} copies so far${last === '' ? '' : `, the last one of ${last}`}\n`);
      return;
    }
    copies++;
    last = `${request.method} ${request.url}`;
    setTimeout(() => response.end(), SHADOW_DELAY_MS).unref();
  };
}

function listen(port: number, listener: http.RequestListener): Promise<http.Server> {
  return new Promise((resolve, reject) => {
    const server = http.createServer({ requestTimeout: 10_000, headersTimeout: 5_000 }, listener);
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => resolve(server));
  });
}
