import { expect, test } from 'vitest';
import { encodeResource } from '../snapshot/decode.ts';
import type { PolicySection } from '../snapshot/resources.ts';
import { policySection } from '../snapshot/resources.ts';
import { contextFixture } from './context.fixture.ts';
import { createStage, describeSection, loadStages, placeOf, referencesOfSection, sectionOf } from './registry.ts';

const SAMPLES: Record<PolicySection['section'], PolicySection> = {
  cors: policySection.parse({ section: 'cors', allowOrigins: ['*'] }),
  authentication: policySection.parse({
    section: 'authentication',
    methods: [{ kind: 'apiKey', name: 'key', from: [{ in: 'header', name: 'x-api-key' }], credentials: [] }],
    anyOf: [['key']],
  }),
  authorization: policySection.parse({
    section: 'authorization',
    default: 'deny',
    rules: [{ name: 'staff', action: 'allow', cel: '"staff" in auth.groups' }],
  }),
  rateLimit: policySection.parse({
    section: 'rateLimit',
    limits: [{ name: 'all', algorithm: 'tokenBucket', limit: 10, windowMs: 1000 }],
  }),
  security: policySection.parse({ section: 'security', maxBodyBytes: 10 }),
  shedding: policySection.parse({ section: 'shedding' }),
  transform: { section: 'transform' },
  fault: policySection.parse({ section: 'fault', delay: { durationMs: 100, perMillion: 10_000 } }),
  retry: policySection.parse({
    section: 'retry',
    attempts: 2,
    on: ['connect'],
    statuses: [],
    methods: ['GET'],
    budget: { percent: 20, minPerSecond: 3 },
    backoff: { baseMs: 25, maxMs: 250 },
    maxRetryAfterMs: 1000,
    bodyBytes: 65_536,
  }),
  timeout: { section: 'timeout' },
  fail: { section: 'fail', of: 'authentication', status: 503, code: 'x', message: 'y' },
};

test.each(Object.values(SAMPLES))('$section is built and described', async (config) => {
  const id = `policy/a/b/${config.section}`;
  await loadStages([encodeResource({ kind: 'policy', id, source: 'a/b', config })]);
  const stage = createStage(config, contextFixture());
  expect(stage?.name ?? config.section).toBe(config.section);
  expect(stage === null).toBe(config.section === 'retry' || config.section === 'timeout');
  expect(describeSection(config)).toMatchObject({ section: config.section });
});

test('stages stand as DESIGN section 6 has them; a fail stands where its section would, unknown ones first', () => {
  const fail = (of: string): PolicySection => ({ section: 'fail', of, status: 503, code: 'x', message: 'y' });
  const order = [
    'unheard-of',
    'shedding',
    'security',
    'cors',
    'authentication',
    'authorization',
    'rateLimit',
    'cache',
    'transform',
    'plugins',
    'fault',
  ];
  const places = order.map((of) => placeOf(fail(of)));
  expect(places).toEqual([...places].sort((a, b) => a - b));
  expect(new Set(places).size).toBe(order.length);
  expect(placeOf(SAMPLES.cors)).toBe(placeOf(fail('cors')));
  expect(sectionOf(fail('rateLimit'))).toBe('rateLimit');
});

test('an unknown section throws', () => {
  expect(() => createStage({ section: 'jwt' } as unknown as PolicySection, contextFixture())).toThrow(TypeError);
});

test('what a section refers to is found wherever it stands', () => {
  const config = policySection.parse({
    section: 'authentication',
    methods: [
      {
        kind: 'apiKey',
        name: 'key',
        from: [{ in: 'header', name: 'x-api-key' }],
        credentials: ['credentials/a/b/c/apiKey'],
      },
    ],
    anyOf: [['key']],
  });
  expect(referencesOfSection(config)).toEqual(['credentials/a/b/c/apiKey']);
  expect(referencesOfSection(SAMPLES.cors)).toEqual([]);
});
