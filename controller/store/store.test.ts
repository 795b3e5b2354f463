import { describe, expect, test } from 'vitest';
import type { EndpointSliceObject, ObjectEvent, StoreObject, TidegateObject } from './objects.ts';
import { mergeChanges, Store } from './store.ts';

const upsert = (object: StoreObject): ObjectEvent => ({ type: 'upsert', object });
const names = (change: { refs: readonly { kind: string; name: string }[] }) =>
  change.refs.map(({ kind, name }) => `${kind} ${name}`);

function backend(generation: number, more: Partial<TidegateObject> = {}): TidegateObject {
  return { kind: 'Backend', metadata: { namespace: 'shop', name: 'orders', uid: 'u1', generation }, spec: {}, ...more };
}

function slice(name: string, service: string | undefined, address: string, resourceVersion = '1'): EndpointSliceObject {
  const labels: Record<string, string> = service === undefined ? {} : { 'kubernetes.io/service-name': service };
  return {
    kind: 'EndpointSlice',
    metadata: { namespace: 'shop', name, labels, resourceVersion },
    endpoints: [{ addresses: [address] }],
  };
}

describe('what counts as a change', () => {
  test('a new object, a new generation, and a new object under an old name', () => {
    const store = new Store();
    expect(names(store.apply([upsert(backend(1))]))).toEqual(['Backend orders']);
    expect(names(store.apply([upsert(backend(2))]))).toEqual(['Backend orders']);
    const reborn = backend(2);
    expect(names(store.apply([upsert({ ...reborn, metadata: { ...reborn.metadata, uid: 'u2' } })]))).toEqual([
      'Backend orders',
    ]);
  });

  test('not a status alone, but it is kept', () => {
    const store = new Store();
    store.apply([upsert(backend(1))]);
    expect(store.apply([upsert(backend(1, { status: { target: 'x' } }))]).refs).toEqual([]);
    expect(store.get('Backend', 'shop', 'orders')?.status).toEqual({ target: 'x' });
  });

  test('not a Service that only got a new resourceVersion', () => {
    const store = new Store();
    const service = (resourceVersion: string, port: number): StoreObject => ({
      kind: 'Service',
      metadata: { namespace: 'shop', name: 'orders', resourceVersion },
      spec: { ports: [{ port }] },
    });
    store.apply([upsert(service('1', 80))]);
    expect(store.apply([upsert(service('2', 80))]).refs).toEqual([]);
    expect(names(store.apply([upsert(service('3', 81))]))).toEqual(['Service orders']);
  });

  test('an EndpointSlice is its Service, the one before and the one after', () => {
    const store = new Store();
    expect(names(store.apply([upsert(slice('s', 'a', '10.0.0.1'))]))).toEqual(['Service a']);
    expect(store.apply([upsert(slice('s', 'a', '10.0.0.1', '2'))]).refs).toEqual([]);
    expect(names(store.apply([upsert(slice('s', 'b', '10.0.0.1'))]))).toEqual(['Service a', 'Service b']);
    expect(
      names(store.apply([{ type: 'delete', ref: { kind: 'EndpointSlice', namespace: 'shop', name: 's' } }])),
    ).toEqual(['Service b']);
    expect(store.apply([upsert(slice('nobodys', undefined, '10.0.0.1'))]).refs).toEqual([]);
  });

  test('a complete list removes what it does not name, of its kind only', () => {
    const store = new Store();
    const other: StoreObject = { kind: 'Route', metadata: { namespace: 'shop', name: 'r', generation: 1 }, spec: {} };
    store.apply([upsert(backend(1)), upsert(other)]);
    const kept = { ...backend(1), metadata: { namespace: 'shop', name: 'cart', generation: 1 } };
    expect(names(store.apply([{ type: 'replace', kind: 'Backend', objects: [kept] }]))).toEqual([
      'Backend cart',
      'Backend orders',
    ]);
    expect([...store.list('Backend')].map(({ metadata }) => metadata.name)).toEqual(['cart']);
    expect(store.count('Route')).toBe(1);
  });

  test('deleting what is not there is none', () => {
    expect(new Store().apply([{ type: 'delete', ref: { kind: 'Route', namespace: 'a', name: 'b' } }]).refs).toEqual([]);
  });

  test('an object named twice is there once, sorted', () => {
    const a = { refs: [{ kind: 'Route', namespace: 'n', name: 'b' }] } as const;
    const b = {
      refs: [
        { kind: 'Route', namespace: 'n', name: 'a' },
        { kind: 'Route', namespace: 'n', name: 'b' },
      ],
    } as const;
    expect(names(mergeChanges(a, b))).toEqual(['Route a', 'Route b']);
  });
});

describe('references', () => {
  const referrers = (store: Store, kind: 'Service' | 'Backend' | 'Route', name: string) =>
    [...store.references.referrers({ kind, namespace: 'shop', name })]
      .map(({ kind, name }) => `${kind} ${name}`)
      .sort();

  test('follow specs as they change', () => {
    const store = new Store();
    const route = (generation: number, backends: unknown): StoreObject => ({
      kind: 'Route',
      metadata: { namespace: 'shop', name: 'r', generation },
      spec: { rules: [{ backends }] },
    });
    store.apply([
      upsert(backend(1, { spec: { service: { name: 'svc' } } })),
      upsert(slice('s', 'svc', '10.0.0.1')),
      upsert(route(1, [{ name: 'orders' }, { name: 'v2' }])),
      upsert({
        kind: 'Policy',
        metadata: { namespace: 'shop', name: 'p', generation: 1 },
        spec: { targetRefs: [{ kind: 'Route', name: 'r' }] },
      }),
    ]);
    expect(referrers(store, 'Service', 'svc')).toEqual(['Backend orders', 'EndpointSlice s']);
    expect(referrers(store, 'Backend', 'v2')).toEqual(['Route r']);
    expect(referrers(store, 'Route', 'r')).toEqual(['Policy p']);
    store.apply([upsert(route(2, [{ name: 'orders' }]))]);
    expect(referrers(store, 'Backend', 'v2')).toEqual([]);
    store.apply([{ type: 'delete', ref: { kind: 'Route', namespace: 'shop', name: 'r' } }]);
    expect(referrers(store, 'Backend', 'orders')).toEqual([]);
  });

  test('of a malformed spec are none, without an exception', () => {
    const store = new Store();
    for (const spec of [null, 1, { rules: 1 }, { rules: [null, { backends: [null, { name: 1 }] }] }]) {
      store.apply([upsert({ kind: 'Route', metadata: { namespace: 'shop', name: 'r' }, spec })]);
    }
    expect(referrers(store, 'Backend', '1')).toEqual([]);
  });

  test('Secrets that a Backend or a Route names for TLS', () => {
    const store = new Store();
    const tls = {
      ca: { secret: 'ca' },
      clientCertificate: { secret: 'client' },
      subjectAltNames: ['x'],
      more: [1, null],
    };
    const route = { kind: 'Route' as const, metadata: { namespace: 'shop', name: 'r' } };
    store.apply([
      upsert(backend(1, { spec: { tls } })),
      upsert({ ...route, spec: { tls: { secret: 'server', clientCertificate: { ca: { secret: 'ca' } } } } }),
    ]);
    const by = (name: string) =>
      [...store.references.referrers({ kind: 'Secret', namespace: 'shop', name })].map(({ kind }) => kind).sort();
    expect([by('ca'), by('client'), by('server'), by('x')]).toEqual([['Backend', 'Route'], ['Backend'], ['Route'], []]);
  });
});
