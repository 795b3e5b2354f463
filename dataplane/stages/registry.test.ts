import { expect, test } from 'vitest';
import type { PolicySection } from '../snapshot/resources.ts';
import { policySection } from '../snapshot/resources.ts';
import { describeSection } from './describe.ts';
import { createStage, placeOf, sectionOf } from './registry.ts';

const SAMPLES: Record<PolicySection['section'], PolicySection> = {
  cors: policySection.parse({ section: 'cors', allowOrigins: ['*'] }),
  transform: { section: 'transform' },
  timeout: { section: 'timeout' },
  fail: { section: 'fail', of: 'authentication', status: 503, code: 'x', message: 'y' },
};

test.each(Object.values(SAMPLES))('$section is built and described', (config) => {
  const stage = createStage(config, { now: () => 0 });
  expect(stage?.name ?? 'timeout').toBe(config.section);
  expect(describeSection(config)).toMatchObject({ section: config.section });
});

test('stages stand as DESIGN section 6 has them; a fail stands where its section would, unknown ones first', () => {
  const fail = (of: string): PolicySection => ({ section: 'fail', of, status: 503, code: 'x', message: 'y' });
  const order = [
    'unheard-of',
    'security',
    'cors',
    'authentication',
    'authorization',
    'rateLimit',
    'cache',
    'transform',
  ];
  const places = order.map((of) => placeOf(fail(of)));
  expect(places).toEqual([...places].sort((a, b) => a - b));
  expect(new Set(places).size).toBe(order.length);
  expect(placeOf(SAMPLES.cors)).toBe(placeOf(fail('cors')));
  expect(sectionOf(fail('rateLimit'))).toBe('rateLimit');
});

test('an unknown section throws', () => {
  expect(() => createStage({ section: 'jwt' } as unknown as PolicySection, { now: () => 0 })).toThrow(TypeError);
});
