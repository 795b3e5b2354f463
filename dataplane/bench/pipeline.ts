/**
 * ns and garbage a request through routing and pipeline, against a listener and a backend that do nothing:
 * `node --conditions=source dataplane/bench/pipeline.ts`.
 */

import type { Downstream } from '../pipeline/exchange.ts';
import { Exchange, NO_BODY } from '../pipeline/exchange.ts';
import { Headers } from '../pipeline/headers.ts';
import { createRequestIds } from '../pipeline/request-id.ts';
import { RUNTIME_DEFAULTS } from '../runtime/deps.ts';
import { Runtime } from '../runtime/runtime.ts';
import { QUIET_STAGES } from '../runtime/stages.fixture.ts';
import { encodeResource } from '../snapshot/decode.ts';
import {
  backendFixture,
  endpointsFixture,
  forwardFixture,
  matchFixture,
  policyFixture,
  respondFixture,
  ruleFixture,
} from '../snapshot/fixtures.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { measure, report } from './measure.ts';

/** Small, so that an exchange is as near in the cache as one that was just parsed. */
const BATCH = 256;
const BATCHES = 600;
const ROUTES = 500;

const nothing: Downstream = {
  requestLength: NO_BODY,
  peerAddress: '192.0.2.1',
  tls: null,
  tunnel: null,
  onDrain: null,
  onClose: null,
  readBody() {},
  pauseBody() {},
  resumeBody() {},
  writeInformational() {},
  writeHead() {},
  write: () => true,
  end() {},
  abort() {},
};

const stats = { endpoints: 1, connections: 0, active: 0, pending: 0 };
const upstream = { update() {}, close() {}, stats } as unknown as Upstream;

const pending = { proceed() {}, discard() {} };

const runtime = new Runtime({
  createUpstream: () => upstream,
  forward: (exchange, _upstream, _options, responder) => {
    exchange.status = 200;
    exchange.responseHeaders = new Headers(['content-type', 'application/json', 'server', 'backend', 'etag', '"1"']);
    responder.respond(exchange, pending);
    responder.finish(exchange);
  },
  onFinish: () => {},
  logError: (message, _exchange, error) => {
    throw new Error(message, { cause: error });
  },
  newRequestId: createRequestIds(),
  now: () => performance.now(),
  random: Math.random,
  setTimer: () => () => {},
  stages: QUIET_STAGES,
  defaults: RUNTIME_DEFAULTS,
});

const cors = policyFixture('gw/cors', {
  section: 'cors',
  allowOrigins: ['https://app.example.com'],
  allowMethods: ['GET'],
  allowHeaders: ['x-a'],
  exposeHeaders: [],
  allowCredentials: true,
  allowPrivateNetwork: false,
  maxAgeSeconds: 60,
});
const transform = policyFixture('gw/edits', {
  section: 'transform',
  request: { remove: ['x-internal'], set: [{ name: 'x-tenant', value: 'acme' }], add: [] },
  response: { remove: ['server'], set: [{ name: 'strict-transport-security', value: 'max-age=31536000' }], add: [] },
});
const rules = Array.from({ length: ROUTES }, (_, i) =>
  ruleFixture(`ns/r${i}/x`, {
    hosts: [`h${i % 50}.example.com`],
    matches: [matchFixture(`/api/v1/resource-${Math.floor(i / 50)}`)],
    action: i < 450 ? forwardFixture('ns/b') : respondFixture('ok'),
    policies: i >= 400 && i < 450 ? [cors.id, transform.id] : [],
  }),
);
const all = [...rules, cors, transform, backendFixture('ns/b'), endpointsFixture('ns/b', '10.0.0.1:80')];
const { rejected } = runtime.apply({ upsert: all.map(encodeResource), removed: [] });
if (rejected.length > 0) throw new Error(JSON.stringify(rejected));

const FIELDS = [
  'host',
  'x',
  'user-agent',
  'bench/1.0',
  'accept',
  '*/*',
  'accept-encoding',
  'gzip',
  'x-forwarded-for',
  '192.0.2.7',
];

/** The exchange and its headers are the listener's work and made beforehand. */
function exchanges(resource: number, fields: string[]): Exchange[] {
  return Array.from({ length: BATCH }, (_, i) => {
    const host = Buffer.from(`h${i % 50}.example.com`).toString('latin1');
    const path = Buffer.from(`/api/v1/resource-${resource}/42`).toString('latin1');
    const headers = new Headers([...FIELDS, ...fields]);
    return new Exchange('GET', path, undefined, host, host, 'http', 'HTTP/1.1', headers, '192.0.2.7', nothing, 0);
  });
}

const cases: [string, number, string[]][] = [
  ['no stages, forward', 3, []],
  ['cors and transform, no Origin, forward', 8, []],
  ['cors and transform, Origin, forward', 8, ['origin', 'https://app.example.com']],
  ['no stages, direct response', 9, []],
  ['no route', 99, []],
];
console.log(`${ROUTES} rules on 50 hosts; routing, request id, chain, answer or response phase`);
for (const [name, resource, fields] of cases) {
  let made: Exchange[] = [];
  const prepare = () => {
    made = exchanges(resource, fields);
  };
  report(
    name,
    measure((i) => runtime.handler(made[i] as Exchange), BATCH, BATCHES, prepare),
  );
}
if (runtime.pipeline.inFlight !== 0) throw new Error('exchanges left over');
const ids = createRequestIds();
report(
  'of which: a request id',
  measure(() => ids(), BATCH, BATCHES),
);
