import { expect, test } from 'vitest';
import { fieldValue, quantity, resourceValue } from './fields.ts';
import type { Pod } from './types.ts';

const pod: Pod = {
  metadata: {
    name: 'a',
    namespace: 'n',
    uid: 'u',
    resourceVersion: '1',
    labels: { 'app.kubernetes.io/name': 'x', b: 'y"z' },
  },
  spec: {
    nodeName: 'node-1',
    containers: [{ name: 'c', image: 'i', resources: { limits: { cpu: '1500m', memory: '1Gi' } } }],
  },
};
const facts = { podAddress: '10.244.0.9', nodeAddress: '10.240.0.11' };

test.each([
  ['500m', 0.5],
  ['2', 2],
  ['1Gi', 2 ** 30],
  ['1.5M', 1_500_000],
  ['1e3', 1_000],
])('quantity %s is %d', (text, expected) => {
  expect(quantity(text)).toBe(expected);
});

test('quantity refuses what is none', () => {
  expect(() => quantity('many')).toThrow('not a quantity');
  expect(() => quantity('1Zi')).toThrow('not a quantity');
});

test('limits are given in whole divisors, rounded up, and without a limit as the whole Node', () => {
  const [container] = pod.spec.containers;
  expect(resourceValue(pod, container, { resource: 'limits.cpu' })).toBe('2');
  expect(resourceValue(pod, container, { resource: 'limits.cpu', divisor: '1m' })).toBe('1500');
  expect(resourceValue(pod, container, { resource: 'limits.memory', divisor: '1Mi' })).toBe('1024');
  expect(resourceValue(pod, { name: 'd', image: 'i' }, { resource: 'limits.cpu' })).toBe('32');
  expect(resourceValue(pod, undefined, { resource: 'limits.cpu', containerName: 'c' })).toBe('2');
});

test('fields of the downward API', () => {
  expect(fieldValue(pod, 'metadata.name', facts)).toBe('a');
  expect(fieldValue(pod, "metadata.labels['app.kubernetes.io/name']", facts)).toBe('x');
  expect(fieldValue(pod, 'metadata.labels', facts)).toBe('app.kubernetes.io/name="x"\nb="y\\"z"');
  expect(fieldValue(pod, 'status.podIP', facts)).toBe('10.244.0.9');
  expect(() => fieldValue(pod, 'status.phase', facts)).toThrow('unsupported field');
});
