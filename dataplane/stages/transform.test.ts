import { expect, test } from 'vitest';
import { Headers } from '../pipeline/headers.ts';
import { memoryExchange } from '../pipeline/memory-downstream.ts';
import type { HeaderEdits } from '../snapshot/primitives.ts';
import { createTransform } from './transform.ts';

const edits = (more: Partial<HeaderEdits>): HeaderEdits => ({ remove: [], set: [], add: [], ...more });
const field = (name: string, value: string) => ({ name, value });

test('removes, then sets, then adds; duplicates count', () => {
  const request = edits({
    add: [field('x-a', 'added'), field('x-a', 'again')],
    set: [field('x-a', 'set'), field('x-b', 'set')],
    remove: ['x-a', 'x-c'],
  });
  const exchange = memoryExchange('GET /', {
    fields: ['x-a', '1', 'x-b', '1', 'x-c', '1', 'x-b', '2', 'x-c', '2', 'x-d', '1'],
  });
  createTransform({ request }).onRequest?.(exchange);
  expect(exchange.headers.fields).toEqual(['x-b', 'set', 'x-d', '1', 'x-a', 'set', 'x-a', 'added', 'x-a', 'again']);
});

test('the later config has the last word in both phases', () => {
  const of = (value: string) => ({
    request: edits({ set: [field('x', value)] }),
    response: edits({ set: [field('x', value)] }),
  });
  const stage = createTransform(of('policy'), of('rule'));
  const exchange = memoryExchange('GET /');
  exchange.responseHeaders = new Headers();
  stage.onRequest?.(exchange);
  stage.onResponse?.(exchange);
  expect([exchange.headers.fields, exchange.responseHeaders.fields]).toEqual([
    ['x', 'rule'],
    ['x', 'rule'],
  ]);
});

test('a phase without edits has no handler', () => {
  const stage = createTransform({ request: edits({}), response: edits({ remove: ['server'] }) });
  expect(stage).not.toHaveProperty('onRequest');
  expect(stage).toHaveProperty('onResponse');
});

test.each(['content-length', 'transfer-encoding', 'connection', 'host', 'upgrade', 'te', 'trailer'])(
  '%s is refused',
  (name) => {
    expect(() => createTransform({ request: edits({ remove: [name] }) })).toThrow(/^request\.remove\[0\]: /);
    expect(() => createTransform({ response: edits({ set: [field('x', ''), field(name, '1')] }) })).toThrow(
      /^response\.set\[1\]\.name: /,
    );
    expect(() => createTransform({ request: edits({ add: [field(name, '1')] }) })).toThrow(
      /^request\.add\[0\]\.name: /,
    );
  },
);
