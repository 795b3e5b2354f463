import { revisionOf } from '@tidegate/dataplane/snapshot/revision';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ObjectOutcome } from '../model/outcome.ts';
import { keyOf, type ObjectEvent, type StoreObject } from '../store/objects.ts';
import { Store } from '../store/store.ts';
import { Compiler } from './compiler.ts';
import type { CompileResult } from './result.ts';

const KINDS = ['Route', 'Backend', 'Policy', 'Service', 'EndpointSlice', 'Secret'] as const;

describe('whatever was edited in whatever order, the result is that of a compilation from scratch', () => {
  test.each([
    ['anything', false],
    ['what is valid', true],
  ])('property, of %s: resources, revision, outcomes, and the sum of all steps', (_of, sound) => {
    fc.assert(
      fc.property(
        batches(sound),
        fc.constantFrom(undefined, 'n1'),
        fc.infiniteStream(fc.nat()),
        (edits, gatewayNamespace, random) => {
          const store = new Store();
          const compiler = new Compiler({ store, gateway: 'tidegate', gatewayNamespace });
          const followed = new Follower();
          for (const batch of edits) followed.take(compiler.apply(store.apply(batch)));
          const scratch = fromScratch(store, gatewayNamespace, random);
          expect(resourcesOf(compiler)).toEqual(resourcesOf(scratch));
          expect(outcomesOf(compiler)).toEqual(outcomesOf(scratch));
          expect(compiler.revision).toBe(scratch.revision);
          expect(followed.hashes()).toEqual(resourcesOf(compiler));
          expect(followed.outcomes()).toEqual(outcomesOf(compiler));
          expect(followed.revision).toBe(compiler.revision);
          expect(compiler.revision).toBe(
            revisionOf([...compiler.resources.values()].map(({ id, hash }) => [id, hash] as const)),
          );
        },
      ),
      { numRuns: 400, seed: 20260101 },
    );
  });

  test('the edits of the property reach every kind of outcome', () => {
    const reasons = new Set<string>();
    for (const edits of fc.sample(batches(), { numRuns: 300, seed: 20260101 })) {
      const store = new Store();
      const compiler = new Compiler({ store, gateway: 'tidegate', gatewayNamespace: 'n1' });
      for (const batch of edits) compiler.apply(store.apply(batch));
      for (const { problems } of compiler.outcomes.values()) for (const { reason } of problems) reasons.add(reason);
    }
    expect([...reasons].sort()).toEqual([
      'BackendInvalid',
      'BackendNotFound',
      'Conflicted',
      'Invalid',
      'NotAllowed',
      'Overridden',
      'PortNotFound',
      'RuleConflict',
      'SecretInvalid',
      'SecretNotFound',
      'ServiceNotFound',
      'TargetNotFound',
    ]);
  });
});

describe('the cost follows the change', () => {
  const COUNT = 5_000;
  const route = (index: number, generation = 1, host = `h${index}.example.com`): StoreObject => ({
    kind: 'Route',
    metadata: { namespace: `n${index % 10}`, name: `r${index}`, generation },
    spec: { hosts: [host], rules: [{ name: 'a', backends: [{ name: 'b' }] }] },
  });
  const backend = (namespace: string): StoreObject => ({
    kind: 'Backend',
    metadata: { namespace, name: 'b', generation: 1 },
    spec: { service: { name: 's', port: 80 } },
  });
  const service = (namespace: string): StoreObject => ({
    kind: 'Service',
    metadata: { namespace, name: 's' },
    spec: { ports: [{ port: 80 }] },
  });
  const slice = (namespace: string, ...addresses: string[]): StoreObject => ({
    kind: 'EndpointSlice',
    metadata: { namespace, name: 's-1', labels: { 'kubernetes.io/service-name': 's' } },
    addressType: 'IPv4',
    ports: [{ port: 8080 }],
    endpoints: addresses.map((address) => ({ addresses: [address] })),
  });
  const baseline = (generation: number, spec: object): StoreObject => ({
    kind: 'Policy',
    metadata: { namespace: 'n0', name: 'baseline', generation },
    spec: { targetRefs: [{ kind: 'Gateway', name: 'tidegate' }], ...spec },
  });

  const store = new Store();
  const compiler = new Compiler({ store, gateway: 'tidegate', gatewayNamespace: 'n0' });
  const apply = (...objects: StoreObject[]): CompileResult =>
    compiler.apply(store.apply(objects.map((object): ObjectEvent => ({ type: 'upsert', object }))));
  const namespaces = Array.from({ length: 10 }, (_, index) => `n${index}`);
  const first = apply(
    ...Array.from({ length: COUNT }, (_, index) => route(index)),
    ...namespaces.flatMap((namespace) => [backend(namespace), service(namespace), slice(namespace, '10.0.0.1')]),
    baseline(1, { timeout: { request: '5s' } }),
  );

  test('from nothing: each object once', () => {
    expect(first.compiled).toBe(COUNT + 10 + 1);
    expect(first.upsert).toHaveLength(COUNT + 20 + 1);
  });

  test('one Route changed: one object compiled, one resource sent', () => {
    const { compiled, upsert, outcomes } = apply(route(7, 2, 'other.example.com'));
    expect(compiled).toBe(1);
    expect(upsert.map(({ id }) => id)).toEqual(['rule/n7/r7/a']);
    // Its generation is in its outcome, and in no other.
    expect([...outcomes.keys()]).toEqual(['Route/n7/r7']);
  });

  test('one pod came: one Backend compiled, its endpoints alone sent', () => {
    const { compiled, upsert } = apply(slice('n3', '10.0.0.1', '10.0.0.2'));
    expect(compiled).toBe(1);
    expect(upsert.map(({ id }) => id)).toEqual(['endpoints/n3/b']);
  });

  test('a gateway-wide policy changed: one object, one small message', () => {
    const { compiled, upsert } = apply(baseline(2, { timeout: { request: '6s' } }));
    expect(compiled).toBe(1);
    expect(upsert.map(({ id }) => id)).toEqual(['policy/n0/baseline/timeout']);
  });

  test('a gateway-wide policy got another section: every rule refers to it', () => {
    const { compiled, upsert } = apply(
      baseline(3, { timeout: { request: '6s' }, transform: { response: { remove: ['server'] } } }),
    );
    expect(compiled).toBe(COUNT + 1);
    expect(upsert).toHaveLength(COUNT + 1);
  });

  test('a Service went: its Backend, and the Routes that used it', () => {
    const gone = compiler.apply(
      store.apply([{ type: 'delete', ref: { kind: 'Service', namespace: 'n3', name: 's' } }]),
    );
    expect(gone.compiled).toBe(1 + COUNT / 10);
    expect(gone.removed).toEqual(['backend/n3/b', 'endpoints/n3/b']);
    expect(gone.upsert).toHaveLength(COUNT / 10);
  });

  test('a policy for a Backend: the Routes that use it, and no others', () => {
    const canary = (timeout: string, generation: number): StoreObject => ({
      kind: 'Policy',
      metadata: { namespace: 'n5', name: 'canary', generation },
      spec: { targetRefs: [{ kind: 'Backend', name: 'b' }], timeout: { request: timeout } },
    });
    expect(apply(canary('1s', 1)).compiled).toBe(1 + COUNT / 10);
    const { compiled, upsert } = apply(canary('2s', 2));
    expect(compiled).toBe(1);
    expect(upsert.map(({ id }) => id)).toEqual(['policy/n5/canary/timeout']);
  });

  test('a new generation that compiles to the same: no resource, one outcome', () => {
    const before = compiler.revision;
    const { upsert, removed, outcomes, revision } = apply(route(8, 2));
    expect({ upsert, removed, revision }).toEqual({ upsert: [], removed: [], revision: before });
    expect(outcomes.get('Route/n8/r8')?.generation).toBe(2);
  });

  test('nothing changed: nothing at all', () => {
    expect(apply(route(8, 2))).toMatchObject({ compiled: 0, upsert: [], removed: [], forgotten: [] });
  });
});

test('the columns of a policy with many targets and sections stay short', () => {
  const store = new Store();
  const compiler = new Compiler({ store, gateway: 'tidegate' });
  const object: StoreObject = {
    kind: 'Policy',
    metadata: { namespace: 'n', name: 'all', generation: 1 },
    spec: {
      targetRefs: ['a', 'b', 'c', 'd', 'e', 'f'].map((name) => ({ kind: 'Backend', name })),
      cors: { allowOrigins: ['*'] },
      authentication: { methods: [{ name: 'key', apiKey: { secretRefs: [{ name: 's' }] } }] },
      authorization: { default: 'deny' },
      rateLimit: { limits: [{ name: 'all', limit: 1, window: '1s' }] },
      transform: { response: { remove: ['server'] } },
      timeout: { request: '1s' },
    },
  };
  compiler.apply(store.apply([{ type: 'upsert', object }]));
  expect(compiler.outcomes.get('Policy/n/all')?.summary).toEqual({
    targets: 'Backend/a,Backend/b,Backend/c,Backend/d,+2',
    sections: 'cors,authentication,authorization,rateLimit,+2',
  });
});

test('which policy decides a section, and at which level, is what the resources say', () => {
  const store = new Store();
  const compiler = new Compiler({ store, gateway: 'tidegate' });
  const policy = (name: string, target: object, more: object): StoreObject => ({
    kind: 'Policy',
    metadata: { namespace: 'n', name, generation: 1 },
    spec: { targetRefs: [target], ...more },
  });
  const backends = ['a', 'b'].map(
    (name): StoreObject => ({
      kind: 'Backend',
      metadata: { namespace: 'n', name, generation: 1 },
      spec: { hosts: [{ address: '10.0.0.1', port: 80 }] },
    }),
  );
  const objects: StoreObject[] = [
    policy(
      'wide',
      { kind: 'Gateway', name: 'tidegate' },
      { timeout: { request: '1s' }, cors: { allowOrigins: ['*'] } },
    ),
    policy('firm', { kind: 'Namespace', name: 'n' }, { enforce: true, transform: { response: { remove: ['x'] } } }),
    policy(
      'canary',
      { kind: 'Backend', name: 'b' },
      { timeout: { request: '2s' }, transform: { response: { remove: ['y'] } } },
    ),
    ...backends,
    {
      kind: 'Route',
      metadata: { namespace: 'n', name: 'r', generation: 1 },
      spec: { rules: [{ name: 'x', backends: [{ name: 'a' }, { name: 'b' }] }] },
    },
  ];
  compiler.apply(store.apply(objects.map((object) => ({ type: 'upsert', object }))));
  const cors = { policy: 'n/wide', level: 'gateway', enforced: false };
  const transform = { policy: 'n/firm', level: 'namespace', enforced: true };
  expect(compiler.effective('n', 'r')).toEqual([
    {
      rule: 'x',
      sections: { cors, transform, timeout: { policy: 'n/wide', level: 'gateway', enforced: false } },
      backends: { b: { cors, transform, timeout: { policy: 'n/canary', level: 'backend', enforced: false } } },
    },
  ]);
  expect(compiler.effective('n', 'other')).toBeNull();
});

/** What a push session and the status writer would hold after following every step. */
class Follower {
  readonly #hashes = new Map<string, string>();
  readonly #outcomes = new Map<string, ObjectOutcome>();
  revision = '';

  take(step: CompileResult): void {
    for (const id of step.removed) expect(this.#hashes.delete(id), `${id} was not held`).toBe(true);
    for (const { id, hash } of step.upsert) {
      expect(this.#hashes.get(id), `${id} did not change`).not.toBe(hash);
      this.#hashes.set(id, hash);
    }
    for (const ref of step.forgotten) expect(this.#outcomes.delete(keyOf(ref))).toBe(true);
    for (const [key, outcome] of step.outcomes) this.#outcomes.set(key, outcome);
    this.revision = step.revision;
  }

  hashes(): Record<string, string> {
    return Object.fromEntries([...this.#hashes].sort());
  }

  outcomes(): Record<string, ObjectOutcome> {
    return Object.fromEntries([...this.#outcomes].sort(([a], [b]) => (a < b ? -1 : 1)));
  }
}

function fromScratch(store: Store, gatewayNamespace: string | undefined, random: fc.Stream<number>): Compiler {
  const objects = KINDS.flatMap((kind): StoreObject[] => [...store.list(kind)]);
  for (let i = objects.length - 1; i > 0; i--) {
    const j = (random.next().value as number) % (i + 1);
    [objects[i], objects[j]] = [objects[j] as StoreObject, objects[i] as StoreObject];
  }
  const fresh = new Store();
  const compiler = new Compiler({ store: fresh, gateway: 'tidegate', gatewayNamespace });
  compiler.apply(fresh.apply(objects.map((object) => ({ type: 'upsert', object }))));
  return compiler;
}

function resourcesOf(compiler: Compiler): Record<string, string> {
  return Object.fromEntries([...compiler.resources].map(([id, { hash }]) => [id, hash] as const).sort());
}

function outcomesOf(compiler: Compiler): Record<string, ObjectOutcome> {
  return Object.fromEntries([...compiler.outcomes].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Edits of a world so small that everything collides with everything. `sound`: nothing in it is invalid, so that more of it meets. */
function batches(sound = false): fc.Arbitrary<ObjectEvent[][]> {
  const some = <T, U>(good: readonly T[], ...bad: readonly U[]) =>
    fc.constantFrom<T | U>(...good, ...(sound ? [] : bad));
  const namespace = some(['n1'], 'n2');
  const name = some(['a', 'b'], 'c');
  const gateway = some([undefined, undefined, undefined], 'other');
  const path = some([{}, { path: { prefix: '/' } }, { path: { prefix: '/x' } }], {
    path: { exact: '/a', prefix: '/' },
  });
  const action = fc.oneof(
    fc.record({
      backends: fc
        .uniqueArray(name, { minLength: 1, maxLength: 2 })
        .map((names) => names.map((one) => ({ name: one }))),
    }),
    some([{ respond: { status: 200 } }], { respond: { status: 42 } }),
  );
  const rule = fc.record({
    name: fc.constantFrom('r1', 'r2'),
    matches: fc.option(fc.array(path, { minLength: 1, maxLength: 2 }), { nil: undefined }),
    action,
  });
  const hosts = some([undefined, ['a.example.com'], ['a.example.com', 'b.example.com']], ['BAD']);
  const route = fc
    .record({ gateway, hosts, rules: fc.array(rule, { minLength: 1, maxLength: 2 }) })
    .map(({ gateway, hosts, rules }) =>
      clean({ gateway, hosts, rules: rules.map(({ name, matches, action }) => clean({ name, matches, ...action })) }),
    );
  const backend = fc
    .record({
      gateway,
      form: some(
        [{ hosts: [{ address: '10.0.0.1', port: 80 }] }],
        { service: { name: 'a', port: 80 } },
        { service: { name: 'b', port: 'http' } },
        { hosts: [{ address: '127.0.0.1', port: 80 }] },
        { dns: { name: 'x', port: 0 } },
      ),
    })
    .map(({ gateway, form }) => clean({ gateway, ...form }));
  const target = fc.oneof(
    fc.constantFrom(
      { kind: 'Gateway', name: 'tidegate' },
      { kind: 'Gateway', name: 'other' },
      { kind: 'Namespace', name: 'n1' },
      { kind: 'Namespace', name: 'n2' },
    ),
    fc.record({ kind: fc.constant('Route'), name, sectionName: fc.constantFrom(undefined, 'r1', 'r2') }).map(clean),
    fc.record({ kind: fc.constant('Backend'), name }),
  );
  const keys = fc
    .oneof(
      name.map((one) => ({ secretRefs: [{ name: one }] })),
      fc.constant({ secretSelector: { matchLabels: { role: 'keys' } } }),
      fc.constant({ secretRefs: 'none' }),
    )
    .map((apiKey) => ({ methods: [{ name: 'key', apiKey }] }));
  const policy = fc
    .record({
      gateway,
      targetRefs: fc.array(target, { minLength: 1, maxLength: 3 }),
      enforce: fc.boolean(),
      timeout: some([undefined, { request: '1s' }], { request: 'never' }),
      transform: fc.constantFrom(undefined, { response: { remove: ['server'] } }),
      authentication: fc.option(keys, { nil: undefined }),
    })
    .map(clean);
  const meta = {
    namespace,
    name,
    generation: fc.nat(1_000_000),
    creationTimestamp: fc.constantFrom('2026-01-01T00:00:00Z', '2026-01-02T00:00:00Z'),
  };
  const metadata = fc.record(meta);
  const own = (kind: string, spec: fc.Arbitrary<unknown>) => fc.record({ kind: fc.constant(kind), metadata, spec });
  const service = fc.record({
    kind: fc.constant('Service'),
    metadata: fc.record({ namespace, name }),
    spec: fc.constantFrom(
      { ports: [{ port: 80 }] },
      { ports: [{ name: 'http', port: 80 }] },
      { ports: [{ port: 81 }] },
    ),
  });
  const slice = fc.record({
    kind: fc.constant('EndpointSlice'),
    metadata: fc.record({ namespace, name, labels: name.map((one) => ({ 'kubernetes.io/service-name': one })) }),
    ports: fc.constantFrom([{ port: 8080 }], [{ name: 'http', port: 8080 }]),
    endpoints: fc.array(
      fc.record({
        addresses: fc.constantFrom(['10.1.0.1'], ['10.1.0.2']),
        conditions: fc.constantFrom({}, { ready: false }),
      }),
      { maxLength: 2 },
    ),
  });
  const secret = fc.record({
    kind: fc.constant('Secret'),
    metadata: fc.record({ namespace, name, labels: fc.constantFrom({}, { role: 'keys' }) }),
    data: fc.constantFrom({ acme: 'YWNtZS1rZXktMDEyMzQ1Njc4OQ==' }, { lazy: 'c2hvcnQ=' }, {}),
  });
  const object = fc.oneof(
    own('Route', route),
    own('Backend', backend),
    own('Policy', policy),
    service,
    slice,
    secret,
  ) as unknown as fc.Arbitrary<StoreObject>;
  const event: fc.Arbitrary<ObjectEvent> = fc.oneof(
    { weight: 8, arbitrary: object.map((one): ObjectEvent => ({ type: 'upsert', object: one })) },
    {
      weight: 3,
      arbitrary: fc.record({
        type: fc.constant('delete' as const),
        ref: fc.record({ kind: fc.constantFrom(...KINDS), namespace, name }),
      }),
    },
    {
      weight: 1,
      arbitrary: fc
        .array(own('Policy', policy) as unknown as fc.Arbitrary<StoreObject>, { maxLength: 3 })
        .map((objects): ObjectEvent => ({ type: 'replace', kind: 'Policy', objects })),
    },
  );
  return fc.array(fc.array(event, { minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 12 });
}

function clean<T extends object>(value: T): T {
  return Object.fromEntries(Object.entries(value).filter(([, one]) => one !== undefined)) as T;
}
