import type { ServerResponse } from 'node:http';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { systemClock } from '../clock.ts';
import { silentLog } from '../log.ts';
import type { ObjectEvent } from '../store/objects.ts';
import { eventually, failure, send, TestApi, type TestRequest } from '../test-api.ts';
import { Collection } from './client.ts';
import { watchedKinds } from './kinds.ts';
import { addressesOf } from './peers.ts';

let server: TestApi;
const collections: Collection[] = [];
beforeEach(async () => {
  server = await TestApi.start();
});
afterEach(async () => {
  await Promise.all(collections.splice(0).map((collection) => collection.stop()));
  await server.stop();
});

function follow(kind = 'Route') {
  const wanted = watchedKinds({ enabled: true, selector: 'app=x' }).find((one) => one.kind === kind);
  if (wanted === undefined) throw new Error('no such kind');
  const state = { names: new Set<string>(), events: [] as ObjectEvent[], listed: 0, restarts: [] as string[] };
  const collection = new Collection({
    api: server.api,
    kind: wanted,
    clock: systemClock,
    log: silentLog(),
    onEvents: (events) => {
      for (const event of events) {
        state.events.push(event);
        if (event.type === 'upsert') state.names.add(event.object.metadata.name);
        else if (event.type === 'delete') state.names.delete(event.ref.name);
      }
    },
    onListed: () => {
      state.listed += 1;
    },
    onRestart: (reason) => state.restarts.push(reason),
  });
  collections.push(collection);
  collection.start();
  return state;
}

function object(name: string, resourceVersion: string) {
  return {
    metadata: { name, namespace: 'shop', resourceVersion, generation: 1, managedFields: ['much'] },
    spec: {},
    status: { x: 1 },
  };
}

function list(response: ServerResponse, names: string[], resourceVersion: string, next?: string): boolean {
  send(response, 200, {
    metadata: { resourceVersion, continue: next },
    items: names.map((name) => object(name, resourceVersion)),
  });
  return true;
}

/** Lists by `lists` in turn, and keeps the watches. */
function serve(lists: ((request: TestRequest, response: ServerResponse) => boolean)[]) {
  const watches: { from: string | null; response: ServerResponse }[] = [];
  server.handler = (request, response) => {
    if (request.query.get('watch') === null)
      return (lists.length > 1 ? lists.shift() : lists[0])?.(request, response) ?? false;
    response.writeHead(200);
    response.flushHeaders();
    watches.push({ from: request.query.get('resourceVersion'), response });
    return true;
  };
  return watches;
}

function tell(response: ServerResponse | undefined, type: string, body: object): void {
  response?.write(`${JSON.stringify({ type, object: body })}\n`);
}

test('pages are one list; the watch goes on from it; only needed fields are kept', async () => {
  const watches = serve([
    (_request, response) => list(response, ['a'], '10', 'next'),
    ({ query }, response) => list(response, query.get('continue') === 'next' ? ['b'] : [], '10'),
  ]);
  const state = follow();
  await eventually(() => watches.length === 1, 'watched');
  expect([...state.names]).toEqual(['a', 'b']);
  expect(state.listed).toBe(1);
  expect(watches[0]?.from).toBe('10');
  tell(watches[0]?.response, 'ADDED', object('c', '11'));
  tell(watches[0]?.response, 'DELETED', object('a', '12'));
  await eventually(() => state.names.has('c') && !state.names.has('a'), 'heard');
  const event = state.events[0];
  expect(event?.type === 'upsert' ? event.object : null).toEqual({
    kind: 'Route',
    metadata: {
      name: 'a',
      namespace: 'shop',
      resourceVersion: '10',
      generation: 1,
      uid: undefined,
      creationTimestamp: undefined,
    },
    spec: {},
    status: { x: 1 },
  });
});

test('a watch that ends goes on from the last bookmark, without a list', async () => {
  const watches = serve([(_request, response) => list(response, ['a'], '10')]);
  const state = follow();
  await eventually(() => watches.length === 1, 'watched');
  tell(watches[0]?.response, 'BOOKMARK', { metadata: { resourceVersion: '50' } });
  watches[0]?.response.end();
  await eventually(() => watches.length === 2, 'watched again');
  expect(watches[1]?.from).toBe('50');
  expect(server.requests.filter(({ query }) => query.get('watch') === null)).toHaveLength(1);
  expect(state.restarts).toEqual(['ended']);
});

test.each([
  [
    'in the stream',
    (response: ServerResponse | undefined) =>
      tell(response, 'ERROR', { kind: 'Status', code: 410, message: 'too old' }),
  ],
  ['at the door', null],
])('410 %s: listed anew, and what is not there any more is deleted', async (_name, break_) => {
  const watches = serve([
    (_request, response) => list(response, ['a', 'b'], '10'),
    (_request, response) => list(response, ['b', 'c'], '90'),
  ]);
  const state = follow();
  await eventually(() => watches.length === 1, 'watched');
  if (break_ === null) {
    const inner = server.handler;
    let refused = false;
    server.handler = (request, response) => {
      if (refused || request.query.get('watch') === null) return inner(request, response);
      refused = true;
      failure(response, 410, 'Expired');
      return true;
    };
    watches[0]?.response.end();
  } else break_(watches[0]?.response);
  await eventually(() => watches.length === 2, 'watched again');
  expect([...state.names].sort()).toEqual(['b', 'c']);
  expect(watches[1]?.from).toBe('90');
  expect(state.restarts).toContain('expired');
  expect(state.listed).toBe(1);
});

test('pages that no longer belong together are begun again', async () => {
  const watches = serve([
    (_request, response) => list(response, ['a'], '10', 'next'),
    (_request, response) => {
      failure(response, 410, 'Expired');
      return true;
    },
    (_request, response) => list(response, ['z'], '20'),
  ]);
  const state = follow();
  await eventually(() => watches.length === 1, 'watched');
  expect([...state.names]).toEqual(['z']);
});

test('an API server that fails is asked again, and one object that can not be read does not hide the others', async () => {
  const watches = serve([
    (_request, response) => {
      failure(response, 500, 'InternalError');
      return true;
    },
    (_request, response) => {
      send(response, 200, { metadata: { resourceVersion: '10' }, items: [{ metadata: {} }, object('a', '10')] });
      return true;
    },
  ]);
  const state = follow();
  await eventually(() => watches.length === 1, 'watched');
  expect([...state.names]).toEqual(['a']);
  expect(state.restarts).toEqual(['failed']);
});

test('Secrets are asked for by selector, EndpointSlices keep what endpoints need', async () => {
  serve([(_request, response) => list(response, [], '10')]);
  follow('Secret');
  await eventually(() => server.requests.length > 0, 'asked');
  expect(server.requests[0]?.path).toBe('/api/v1/secrets');
  expect(server.requests[0]?.query.get('labelSelector')).toBe('app=x');
  expect(server.requests[0]?.query.get('fieldSelector')).toContain('type!=helm.sh/release.v1');
  const slices = watchedKinds({ enabled: false, selector: '' });
  expect(slices.map(({ kind }) => kind)).not.toContain('Secret');
  const kept = slices
    .find(({ kind }) => kind === 'EndpointSlice')
    ?.keep({
      metadata: { name: 's', namespace: 'shop', labels: { 'kubernetes.io/service-name': 'orders', other: 'x' } },
      addressType: 'IPv4',
      endpoints: [
        {
          addresses: ['10.0.0.1'],
          nodeName: 'n',
          zone: 'z',
          conditions: { ready: true },
          hints: { forZones: [{ name: 'z' }], forNodes: [{ name: 'n' }] },
          targetRef: {},
        },
      ],
      ports: [{ name: 'http', port: 80, protocol: 'TCP', appProtocol: 'h2c' }],
    });
  expect(kept).toMatchObject({
    metadata: { labels: { 'kubernetes.io/service-name': 'orders' } },
    endpoints: [
      { addresses: ['10.0.0.1'], zone: 'z', conditions: { ready: true }, hints: { forZones: [{ name: 'z' }] } },
    ],
    ports: [{ name: 'http', port: 80, protocol: 'TCP' }],
  });
  expect(JSON.stringify(kept)).not.toMatch(/targetRef|nodeName|forNodes|other/);
});

test('Services keep what decides about their endpoints', () => {
  const service = watchedKinds({ enabled: false, selector: '' }).find(({ kind }) => kind === 'Service');
  const keep = (spec: object) => service?.keep({ metadata: { name: 's', namespace: 'shop' }, spec });
  const ports = [{ name: 'http', port: 80, protocol: 'TCP', targetPort: 'web' }];
  expect(
    keep({ type: 'ClusterIP', clusterIP: 'None', ipFamilies: ['IPv6', 'IPv4'], ports, selector: {} }),
  ).toMatchObject({
    spec: { type: 'ClusterIP', clusterIP: 'None', ipFamilies: ['IPv6', 'IPv4'], ports },
  });
  expect(keep({ type: 'ExternalName', externalName: 'example.com' })).toMatchObject({
    spec: { externalName: 'example.com' },
  });
  expect(keep({ clusterIP: '10.0.0.1', ports })).toEqual(keep({ clusterIP: '10.0.0.2', ports }));
});

test('peers are dialled at the port named grpc, terminating ones not', () => {
  const slice = (ports: { name: string; port: number }[], addresses: string[], terminating = false) => ({
    kind: 'EndpointSlice' as const,
    metadata: { name: 's', namespace: 'n' },
    ports,
    endpoints: [{ addresses, conditions: { ready: false, terminating } }],
  });
  expect(
    addressesOf([
      slice(
        [
          { name: 'admin', port: 1 },
          { name: 'grpc', port: 9443 },
        ],
        ['10.0.0.2', '10.0.0.1'],
      ),
      slice([{ name: 'x', port: 7 }], ['fd00::1']),
      slice([{ name: 'grpc', port: 9443 }], ['10.0.0.9'], true),
      slice([], ['10.0.0.8']),
    ]),
  ).toEqual(['10.0.0.1:9443', '10.0.0.2:9443', '[fd00::1]:7']);
});
