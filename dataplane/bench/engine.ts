/**
 * A plain proxy on the bare engine, without router, stages or log: what the engine itself costs.
 * Run: node --conditions=source bench/engine.ts 9106 127.0.0.1:9000   (prints its CPU time and requests on SIGUSR2)
 */
import { startWheel } from '../io/wheel.ts';
import { createHttp1Listener } from '../listener/http1.ts';
import { NO_BODY } from '../pipeline/exchange.ts';
import { Headers } from '../pipeline/headers.ts';
import { forward } from '../upstream/forward.ts';
import type { ForwardOptions, Responder } from '../upstream/seam.ts';
import { createUpstream } from '../upstream/upstream.ts';

const port = Number(process.argv[2]);
const [address = '127.0.0.1', upstreamPort = '80'] = (process.argv[3] ?? '').split(':');
const wheel = startWheel();
const upstream = createUpstream(
  {
    kind: 'backend',
    id: 'backend/bench/plain',
    protocol: 'http1',
    balancing: { algorithm: 'roundRobin' },
    connectTimeoutMs: 5000,
    pool: { maxConnections: 1024, maxPending: 1024, idleTimeoutMs: 60_000 },
    endpoints: 'endpoints/bench/plain',
  },
  {
    kind: 'endpoints',
    id: 'endpoints/bench/plain',
    endpoints: [{ address, port: Number(upstreamPort), weight: 1 }],
  },
  { wheel },
);
const options: ForwardOptions = {
  rewrite: null,
  requestTimeoutMs: 15_000,
  backendTimeoutMs: 0,
  idleTimeoutMs: 300_000,
  streamIdleTimeoutMs: 3_600_000,
  streams: null,
  trustedHops: 0,
  via: '',
  retry: null,
};
const responder: Responder = {
  respond: (_exchange, response) => response.proceed(),
  answer: (exchange, status, code) => {
    exchange.downstream.writeHead(status, new Headers(['x-code', code]), NO_BODY);
    exchange.downstream.end(null);
  },
  finish: () => {},
};
const listener = createHttp1Listener({
  host: '127.0.0.1',
  port,
  handler: (exchange) => forward(exchange, upstream, options, responder),
  refuse: (refusal) => ({ status: refusal.status, headers: new Headers(), body: null, code: refusal.code }),
  onError: (error) => console.error(error),
  readMode: process.argv[4] === 'data' ? 'data' : 'onread',
  wheel,
});
await listener.listen();
console.log('listening', port);
