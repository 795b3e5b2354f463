import { expect, test } from 'vitest';
import type { ObjectOutcome } from '../model/outcome.ts';
import { keyOf } from '../store/objects.ts';
import { StatusBoard } from './board.ts';
import { changedHealth, countEndpoints, mergeHealth } from './endpoint-health.ts';

const ID = 'backend/shop/orders';
const KEY = keyOf({ kind: 'Backend', namespace: 'shop', name: 'orders' });
const says = (...blocked: string[]) => [{ backend: ID, blocked, endpoints: 0 }];

function outcome(all: number | null, ...addresses: string[]): ObjectOutcome {
  return {
    ref: { kind: 'Backend', namespace: 'shop', name: 'orders' },
    uid: 'u',
    generation: 1,
    problems: [],
    conditions: [],
    summary: { target: '', protocol: 'http1', endpoints: all === null ? '' : `${addresses.length}/${all}` },
    resources: [ID],
    serving: { endpoints: addresses.map((address) => ({ address, port: 80 })), all },
  };
}

test('an endpoint is healthy when no ready data plane says otherwise', () => {
  const merged = mergeHealth([
    { ready: true, health: says('10.0.0.1:80') },
    { ready: true, health: says('10.0.0.2:80', '10.0.0.1:80') },
    { ready: false, health: says('10.0.0.3:80') },
    { ready: true, health: [] },
  ]);
  expect(merged).toEqual(new Map([[ID, { blocked: new Set(['10.0.0.1:80', '10.0.0.2:80']), resolved: 0 }]]));
  const health = merged.get(ID);
  const backend = outcome(4, '10.0.0.1', '10.0.0.2', '10.0.0.3');
  // One of four is not ready, two of the ready ones are blocked.
  expect(countEndpoints(backend, health)).toEqual({ healthy: 1, all: 4, blocked: ['10.0.0.1:80', '10.0.0.2:80'] });
  expect(countEndpoints(backend, undefined)).toEqual({ healthy: 3, all: 4, blocked: [] });
  // One that is told of but gone from the snapshot does not count.
  expect(countEndpoints(outcome(1, '10.0.0.9'), health)).toEqual({ healthy: 1, all: 1, blocked: [] });
  expect(countEndpoints({ ...backend, serving: undefined } as unknown as ObjectOutcome, health)).toBeNull();
});

test('where only data planes know the endpoints, the most that one of them has found count', () => {
  const merged = mergeHealth([
    { ready: true, health: [{ backend: ID, blocked: ['[2001:db8::1]:80'], endpoints: 3 }] },
    { ready: true, health: [{ backend: ID, blocked: [], endpoints: 2 }] },
  ]);
  const backend = outcome(null, 'orders.example.com');
  expect(countEndpoints(backend, merged.get(ID))).toEqual({ healthy: 2, all: 3, blocked: ['[2001:db8::1]:80'] });
  expect(countEndpoints(backend, undefined)).toBeNull();
});

test('what has changed is named, and nothing else', () => {
  const before = mergeHealth([{ ready: true, health: [...says('a'), { backend: 'x', blocked: ['b'], endpoints: 0 }] }]);
  const same = mergeHealth([{ ready: true, health: [{ backend: 'x', blocked: ['b'], endpoints: 0 }, ...says('a')] }]);
  expect(changedHealth(before, same)).toEqual([]);
  expect(changedHealth(before, mergeHealth([{ ready: true, health: says('a', 'c') }])).sort()).toEqual([ID, 'x']);
  expect(changedHealth(new Map(), before).sort()).toEqual([ID, 'x']);
});

test('the board tells of the Backends it is about, and their status says it', () => {
  const board = new StatusBoard(() => undefined);
  board.compiled({ outcomes: new Map([[KEY, outcome(2, '10.0.0.1', '10.0.0.2')]]), forgotten: [] }, 1);
  const told: string[] = [];
  board.onChange((keys) => told.push(...keys));
  expect(board.desired(KEY)?.fields.endpoints).toBe('2/2');
  const health = [...says('10.0.0.2:80'), { backend: 'backend/shop/unknown', blocked: ['a'], endpoints: 0 }];
  board.healthChanged(mergeHealth([{ ready: true, health }]));
  expect(told.splice(0)).toEqual([KEY]);
  expect(board.desired(KEY)?.fields.endpoints).toBe('1/2');
  board.healthChanged(mergeHealth([{ ready: true, health: says('10.0.0.2:80') }]));
  expect(told).toEqual([]);
  // The endpoint goes: what is said of it counts no more.
  board.compiled({ outcomes: new Map([[KEY, outcome(1, '10.0.0.1')]]), forgotten: [] }, 2);
  expect(board.desired(KEY)?.fields.endpoints).toBe('1/1');
});
