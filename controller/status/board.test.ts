import { expect, test } from 'vitest';
import type { ObjectOutcome } from '../model/outcome.ts';
import type { FleetMember } from '../push/fleet.ts';
import { History } from '../push/history.ts';
import { TestCompiler } from '../push/test-steps.ts';
import { StatusBoard } from './board.ts';
import { summarise } from './programmed.ts';

function member(node: string, revision: string, more: Partial<FleetMember> = {}): FleetMember {
  return {
    node,
    zone: '',
    revision,
    rejected: [],
    load: null,
    programVersion: '',
    message: '',
    health: [],
    replica: 'r',
    lastSeenMs: 0,
    ready: true,
    ...more,
  };
}

function outcome(name: string, generation: number, more: Partial<ObjectOutcome> = {}): ObjectOutcome {
  return {
    ref: { kind: 'Route', namespace: 'shop', name },
    uid: 'u',
    generation,
    problems: [],
    conditions: [{ type: 'Accepted', status: 'True', reason: 'Accepted', message: '' }],
    summary: { hosts: '*', backends: '' },
    resources: [`rule/shop/${name}/main`],
    ...more,
  };
}

function setUp() {
  const history = new History();
  const compiler = new TestCompiler();
  const board = new StatusBoard((id) => history.resources.get(id)?.hash);
  const told: string[][] = [];
  board.onChange((keys) => told.push([...keys].sort()));
  const compile = (changes: Record<string, string>, outcomes: ObjectOutcome[]): string => {
    history.append(compiler.step(changes));
    board.compiled(
      { outcomes: new Map(outcomes.map((one) => [`Route/shop/${one.ref.name}`, one])), forgotten: [] },
      history.sequence,
    );
    return history.revision;
  };
  const fleet = (...members: FleetMember[]): void => board.fleetChanged(summarise(members, history));
  const programmedOf = (name: string) => {
    const desired = board.desired(`Route/shop/${name}`);
    const condition = desired?.conditions.find(({ type }) => type === 'Programmed');
    return [condition?.status, condition?.reason, desired?.passing];
  };
  return { history, board, told, compile, fleet, programmedOf };
}

test('Programmed when every ready data plane holds this generation, whatever else changed since', () => {
  const { compile, fleet, programmedOf } = setUp();
  const first = compile({ a: '1' }, [outcome('a', 1)]);
  expect(programmedOf('a')).toEqual(['False', 'NoDataPlane', true]);
  fleet(member('x', first), member('y', ''));
  expect(programmedOf('a')).toEqual(['False', 'Pending', true]);
  fleet(member('x', first), member('y', first));
  expect(programmedOf('a')).toEqual(['True', 'Programmed', false]);
  // Another object changes: nothing to say of this one, although nobody holds the newest revision.
  compile({ b: '1' }, [outcome('b', 1)]);
  expect(programmedOf('a')).toEqual(['True', 'Programmed', false]);
  expect(programmedOf('b')).toEqual(['False', 'Pending', true]);
});

test('data planes that are not ready do not count, and scaling says nothing new', () => {
  const { compile, fleet, programmedOf, told } = setUp();
  const first = compile({ a: '1' }, [outcome('a', 1)]);
  fleet(member('x', first));
  expect(programmedOf('a')).toEqual(['True', 'Programmed', false]);
  told.length = 0;
  fleet(member('x', first), member('new', '', { ready: false }));
  fleet(member('x', first), member('new', first));
  fleet(member('x', first), member('new', first), member('third', first));
  expect(told).toEqual([]);
});

test('a change costs what it touches', () => {
  const { compile, fleet, told } = setUp();
  const first = compile({ a: '1', b: '1', c: '1' }, [outcome('a', 1), outcome('b', 1), outcome('c', 1)]);
  fleet(member('x', first));
  told.length = 0;
  const second = compile({ b: '2' }, [outcome('b', 2)]);
  fleet(member('x', first));
  fleet(member('x', second));
  expect(told).toEqual([['Route/shop/b'], ['Route/shop/b']]);
});

test('a rejection is told with its message until another hash is there', () => {
  const { compile, fleet, programmedOf, history, board } = setUp();
  const first = compile({ a: '1', b: '1' }, [outcome('a', 1), outcome('b', 1)]);
  const id = 'rule/shop/a/main';
  const rejected = [{ id, hash: history.resources.get(id)?.hash ?? '', message: 'no such stage' }];
  fleet(member('x', first, { rejected }), member('y', first));
  expect(programmedOf('a')).toEqual(['False', 'Rejected', false]);
  expect(board.desired('Route/shop/a')?.conditions.at(-1)?.message).toBe('rule/shop/a/main: no such stage');
  expect(board.desired('Route/shop/a')?.fields.reason).toBe('Rejected');
  expect(programmedOf('b')).toEqual(['True', 'Programmed', false]);
  const second = compile({ a: '2' }, [outcome('a', 2)]);
  expect(programmedOf('a')).toEqual(['False', 'Pending', true]);
  fleet(member('x', second), member('y', second));
  expect(programmedOf('a')).toEqual(['True', 'Programmed', false]);
});

test('a data plane that refuses the whole snapshot is a rejection of what it lacks', () => {
  const { compile, fleet, programmedOf } = setUp();
  const first = compile({ a: '1' }, [outcome('a', 1)]);
  fleet(member('x', first));
  compile({ b: '1' }, [outcome('b', 1)]);
  fleet(member('x', first, { message: 'disk full' }));
  expect(programmedOf('a')).toEqual(['True', 'Programmed', false]);
  expect(programmedOf('b')).toEqual(['False', 'Rejected', false]);
});

test('a generation that changes no resource is programmed where its revision is held', () => {
  const { compile, fleet, programmedOf } = setUp();
  const first = compile({ a: '1' }, [outcome('a', 1)]);
  fleet(member('x', first));
  compile({ a: '1' }, [outcome('a', 2)]);
  expect(programmedOf('a')).toEqual(['True', 'Programmed', false]);
});

test('what is not accepted is not programmed, for the same reason', () => {
  const { compile, fleet, programmedOf } = setUp();
  const first = compile({ b: '1' }, [
    outcome('a', 1, {
      conditions: [{ type: 'Accepted', status: 'False', reason: 'Invalid', message: 'x' }],
      resources: [],
    }),
  ]);
  fleet(member('x', first));
  expect(programmedOf('a')).toEqual(['False', 'Invalid', false]);
});

test('a revision of another replica that this one never compiled counts as behind', () => {
  const { compile, fleet, programmedOf } = setUp();
  compile({ a: '1' }, [outcome('a', 1)]);
  fleet(member('x', 'unheard-of'));
  expect(programmedOf('a')).toEqual(['False', 'Pending', true]);
});

test('an object that is gone has no status', () => {
  const { compile, board, told } = setUp();
  compile({ a: '1' }, [outcome('a', 1)]);
  board.compiled({ outcomes: new Map(), forgotten: [{ kind: 'Route', namespace: 'shop', name: 'a' }] }, 2);
  expect(board.desired('Route/shop/a')).toBeUndefined();
  expect(told.at(-1)).toEqual(['Route/shop/a']);
});
