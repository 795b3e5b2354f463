/** What reaches the model was not validated by anyone: it may refuse, and must never throw. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { resource } from '@tidegate/dataplane/snapshot/resources';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import type { StoreObject } from '../store/objects.ts';
import { Store } from '../store/store.ts';
import { Compiler } from './compiler.ts';

const words = [
  'spec',
  'gateway',
  'hosts',
  'rules',
  'name',
  'matches',
  'path',
  'exact',
  'prefix',
  'regex',
  'backends',
  'weight',
  'service',
  'port',
  'dns',
];
const more = [
  'targetRefs',
  'kind',
  'sectionName',
  'Route',
  'Gateway',
  'tidegate',
  'timeout',
  'request',
  '5s',
  'cors',
  'enforce',
  'respond',
  'status',
  '__proto__',
  'authentication',
  'methods',
  'apiKey',
  'secretRefs',
  'anyOf',
  'Backend',
];
const text = fc.oneof(fc.constantFrom(...words, ...more), fc.string({ maxLength: 6 }));
const json = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 7, depthSize: 'medium' },
    fc.oneof(text, fc.integer({ min: -1, max: 70_000 }), fc.boolean(), fc.constant(null)),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(text, tie('value'), { maxKeys: 4 }),
  ),
})).value;

/** A good spec with one place of it replaced by anything. */
function spoilt(good: unknown): fc.Arbitrary<unknown> {
  return fc.tuple(fc.nat(), json).map(([seed, bad]) => {
    const places: ((value: unknown) => void)[] = [];
    const copy = { spec: structuredClone(good) };
    const walk = (node: unknown): void => {
      if (typeof node !== 'object' || node === null) return;
      for (const key of Object.keys(node)) {
        places.push((value) => Object.assign(node, { [key]: value }));
        walk((node as Record<string, unknown>)[key]);
      }
    };
    walk(copy);
    places[seed % places.length]?.(bad);
    return copy.spec;
  });
}

const spoiltOneOf = (good: readonly unknown[]) => fc.constantFrom(...good).chain(spoilt);

const TARGETS = [
  { kind: 'Route', name: 'a', sectionName: 'a' },
  { kind: 'Gateway', name: 'tidegate' },
  { kind: 'Backend', name: 'b' },
];
const ROUTE = {
  hosts: ['a.example.com'],
  rules: [
    {
      name: 'a',
      matches: [
        { path: { prefix: '/a' }, methods: ['GET'], headers: [{ name: 'x', exact: '1' }], sources: ['10.0.0.0/8'] },
      ],
      backends: [{ name: 'b', weight: 1 }],
      rewrite: { path: { prefix: '/b' } },
      headers: { request: { set: [{ name: 'x', value: '1' }], remove: ['y'] } },
      timeouts: { request: '5s' },
    },
    { name: 'b', redirect: { scheme: 'https' } },
  ],
};
const BACKEND = {
  service: { name: 's', port: 80 },
  balancing: { algorithm: 'roundRobin' },
  timeouts: { connect: '1s' },
};
const folder = path.join(import.meta.dirname, 'testdata');
/** All that the golden inputs hold, so that whoever adds a section has it spoilt here too. */
const golden = readdirSync(folder)
  .filter((file) => file.endsWith('.in.yaml'))
  .flatMap((file) => parseAllDocuments(readFileSync(path.join(folder, file), 'utf8')).map((one) => one.toJS()));
const specsOf = (kind: string): unknown[] => golden.flatMap((one) => (one.kind === kind ? [one.spec] : []));
const GOOD = {
  Route: [ROUTE, ...specsOf('Route')],
  Backend: [BACKEND, ...specsOf('Backend')],
  // A rule of their own, so that they take effect.
  Policy: specsOf('Policy').map((spec) => ({ ...(spec as object), targetRefs: TARGETS })),
};
const SECRETS = golden
  .filter(({ kind }) => kind === 'Secret')
  .map((one): StoreObject => ({ ...one, metadata: { ...one.metadata, namespace: 'n' } }));

test('property: any spec compiles to problems or to what the contract takes, and others are not harmed', () => {
  expect(GOOD.Policy.length).toBeGreaterThan(20);
  const kind = fc.constantFrom('Route' as const, 'Backend' as const, 'Policy' as const);
  const one = kind.chain((name) =>
    fc.tuple(
      fc.constant(name),
      fc.oneof({ weight: 5, arbitrary: spoiltOneOf(GOOD[name]) }, { weight: 1, arbitrary: json }),
    ),
  );
  fc.assert(
    fc.property(fc.array(one, { minLength: 1, maxLength: 4 }), (specs) => {
      const store = new Store();
      const compiler = new Compiler({ store, gateway: 'tidegate' });
      const objects = specs.map(([name, spec], index) => object(name, `bad${index}`, spec));
      const good = object('Route', 'good', {
        hosts: ['good.example.com'],
        rules: [{ name: 'a', respond: { status: 200 } }],
      });
      compiler.apply(store.apply([...objects, good, ...SECRETS].map((each) => ({ type: 'upsert', object: each }))));
      for (const { resource: emitted } of compiler.resources.values())
        expect(resource.safeParse(emitted).error).toBeUndefined();
      expect(compiler.resources.get('rule/n/good/a')?.resource).toMatchObject({
        action: { kind: 'respond', status: 200 },
      });
    }),
    { numRuns: 1_000, seed: 11 },
  );
});

function object(kind: 'Route' | 'Backend' | 'Policy', name: string, spec: unknown): StoreObject {
  return { kind, metadata: { namespace: 'n', name, generation: 1 }, spec };
}
