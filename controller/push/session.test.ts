import type { Delta, Hello, ToDataPlane, Verdict } from '@tidegate/dataplane/snapshot/protocol';
import { snapshotsService } from '@tidegate/dataplane/snapshot/protocol';
import { expect, test } from 'vitest';
import { TestClock } from '../test-clock.ts';
import { DeltaCache, type EncodedDelta } from './delta.ts';
import { History } from './history.ts';
import { DEFAULT_SESSION_TIMES, Session, type SessionEvent } from './session.ts';
import { TestCompiler } from './test-steps.ts';

function decode(delta: EncodedDelta): Delta {
  const parts = delta.map((part) => {
    const message = snapshotsService.Subscribe?.responseDeserialize(part) as ToDataPlane;
    if (message.message !== 'delta') throw new Error('no delta');
    return message.delta;
  });
  const first = parts[0] as Delta;
  return { ...first, upsert: parts.flatMap((p) => p.upsert), removed: parts.flatMap((p) => p.removed) };
}

function setUp(hello: Partial<Hello> = {}) {
  const clock = new TestClock();
  const history = new History();
  const compiler = new TestCompiler();
  const sent: Delta[] = [];
  const events: SessionEvent[] = [];
  const connect = (more: Partial<Hello> = {}): Session =>
    new Session(
      {
        node: 'a',
        zone: '',
        schemaVersion: 1,
        revision: '',
        programVersion: '',
        gateway: 'tidegate',
        share: null,
        held: [],
        ...hello,
        ...more,
      },
      {
        history,
        cache: new DeltaCache(),
        clock,
        times: DEFAULT_SESSION_TIMES,
        send: (delta) => sent.push(decode(delta)),
        onEvent: (_session, event) => events.push(event),
      },
    );
  const publish = (session: Session, changes: Record<string, string | null>): void => {
    history.append(compiler.step(changes));
    session.pump();
  };
  return { clock, history, compiler, sent, events, connect, publish };
}

function accept(revision: string, more: Partial<Verdict> = {}): Verdict {
  return { revision, accepted: true, rejected: [], message: '', ...more };
}

function ids(delta: Delta | undefined): string[] {
  return (delta?.upsert ?? []).map((resource) => resource.id.split('/')[2] ?? '');
}

test('sends nothing before the first compilation, then everything, then only the difference', () => {
  const { sent, connect, publish, history } = setUp();
  const session = connect();
  session.pump();
  expect(sent).toHaveLength(0);
  publish(session, { a: '1', b: '1' });
  expect(sent[0]).toMatchObject({ baseRevision: '', revision: history.revision, last: true });
  expect(ids(sent[0])).toEqual(['a', 'b']);
  const first = history.revision;
  session.onVerdict(accept(first));
  expect(session.revision).toBe(first);
  publish(session, { b: '2' });
  expect(sent[1]).toMatchObject({ baseRevision: first, removed: [] });
  expect(ids(sent[1])).toEqual(['b']);
});

test('advances on the verdict only, and has one delta in flight; what gathers meanwhile is one delta', () => {
  const { sent, connect, publish, history } = setUp();
  const session = connect();
  publish(session, { a: '1' });
  publish(session, { b: '1' });
  publish(session, { c: '1' });
  publish(session, { b: null });
  expect(sent).toHaveLength(1);
  expect(session.revision).toBe('');
  session.onVerdict(accept(sent[0]?.revision ?? ''));
  expect(sent).toHaveLength(2);
  expect(ids(sent[1])).toEqual(['c']);
  expect(sent[1]?.removed).toEqual([]);
  session.onVerdict(accept(history.revision));
  expect(sent).toHaveLength(2);
});

test('a change that is taken back while another delta is in flight is never sent', () => {
  const { sent, connect, publish } = setUp();
  const session = connect();
  publish(session, { a: '1' });
  publish(session, { a: '2' });
  publish(session, { a: '1' });
  session.onVerdict(accept(sent[0]?.revision ?? ''));
  expect(sent).toHaveLength(1);
});

test('what is held at the hello is not sent again', () => {
  const { sent, connect, publish, history, compiler } = setUp();
  const earlier = connect();
  publish(earlier, { a: '1', b: '1', c: '1' });
  const held = [...compiler.held()].map(([id, hash]) => ({ id, hash }));
  const revision = history.revision;
  publish(earlier, { b: '2', c: null, d: '1' });
  sent.length = 0;
  const session = connect({ revision, held });
  session.pump();
  expect(sent[0]).toMatchObject({ baseRevision: revision, removed: ['rule/shop/c/main'] });
  expect(ids(sent[0]).sort()).toEqual(['b', 'd']);
});

test('a data plane that holds the current revision is sent nothing and counts as acknowledged', () => {
  const { sent, connect, publish, history, compiler } = setUp();
  publish(connect(), { a: '1' });
  sent.length = 0;
  const held = [...compiler.held()].map(([id, hash]) => ({ id, hash }));
  const session = connect({ revision: history.revision, held });
  session.pump();
  expect(sent).toHaveLength(0);
  expect(session.sequence).toBe(history.sequence);
});

test('what it holds may be newer than what this replica knows: it is waited for, not set back', () => {
  const { sent, connect, publish, history, compiler, clock } = setUp();
  publish(connect(), { a: '1' });
  sent.length = 0;
  const ahead = compiler.step({ b: '1' });
  const session = connect({ revision: ahead.revision, held: [...compiler.held()].map(([id, hash]) => ({ id, hash })) });
  session.pump();
  clock.advance(DEFAULT_SESSION_TIMES.unknownRevisionMs - 1);
  expect(sent).toHaveLength(0);
  history.append(ahead);
  session.pump();
  expect(session.sequence).toBe(history.sequence);
  clock.advance(DEFAULT_SESSION_TIMES.unknownRevisionMs);
  expect(sent).toHaveLength(0);
  // What never becomes known is taken back after all.
  const lost = connect({ revision: 'never-heard-of', held: [{ id: 'rule/x', hash: 'y' }] });
  lost.pump();
  expect(sent).toHaveLength(0);
  clock.advance(DEFAULT_SESSION_TIMES.unknownRevisionMs);
  expect(sent).toHaveLength(1);
});

test('no verdict in time: sent again, the newest state from the same base', () => {
  const { sent, connect, publish, clock, history, events } = setUp();
  const session = connect();
  publish(session, { a: '1' });
  session.onVerdict(accept(history.revision));
  const base = history.revision;
  publish(session, { b: '1' });
  publish(session, { c: '1' });
  clock.advance(DEFAULT_SESSION_TIMES.verdictTimeoutMs - 1);
  expect(sent).toHaveLength(2);
  clock.advance(1);
  expect(sent[2]).toMatchObject({ baseRevision: base, revision: history.revision });
  expect(ids(sent[2]).sort()).toEqual(['b', 'c']);
  expect(events.filter((event) => event.type === 'sent').map((event) => event.resent)).toEqual([false, false, true]);
});

test('a late verdict counts, and does not end the wait for the newer one', () => {
  const { sent, connect, publish, clock, history } = setUp();
  const session = connect();
  publish(session, { a: '1' });
  const first = history.revision;
  publish(session, { b: '1' });
  clock.advance(DEFAULT_SESSION_TIMES.verdictTimeoutMs);
  expect(sent).toHaveLength(2);
  session.onVerdict(accept(first));
  expect(session.revision).toBe(first);
  expect(session.busy).toBe(true);
  session.onVerdict(accept(history.revision));
  expect(session.sequence).toBe(history.sequence);
});

test('a delta that does not fit is followed by everything at once, then with backoff', () => {
  const { sent, connect, publish, clock, history } = setUp({
    revision: 'unheard-of',
    held: [{ id: 'rule/x', hash: 'y' }],
  });
  const session = connect();
  publish(session, { a: '1' });
  clock.advance(DEFAULT_SESSION_TIMES.unknownRevisionMs);
  expect(sent[0]).toMatchObject({ baseRevision: 'unheard-of', removed: ['rule/x'] });
  session.onVerdict(accept(history.revision, { accepted: false, message: 'holds something else' }));
  expect(session.message).toBe('holds something else');
  expect(sent[1]).toMatchObject({ baseRevision: '', removed: [] });
  session.onVerdict(accept(history.revision, { accepted: false, message: 'disk full' }));
  expect(sent).toHaveLength(2);
  clock.advance(DEFAULT_SESSION_TIMES.retryMaxMs);
  expect(sent.length).toBeGreaterThan(2);
  session.onVerdict(accept(history.revision));
  expect(session.message).toBe('');
  expect(session.sequence).toBe(history.sequence);
});

test('news brings a waiting retry forward, and further news does not put it off', () => {
  const { sent, connect, publish, clock, history } = setUp();
  clock.chance = 1;
  const session = connect();
  publish(session, { a: '1' });
  for (let i = 0; i < 5; i++) {
    session.onVerdict(accept(history.revision, { accepted: false, message: 'no' }));
    if (i < 4) clock.advance(DEFAULT_SESSION_TIMES.retryMaxMs);
  }
  const before = sent.length;
  for (let i = 0; i < 6; i++) {
    publish(session, { a: `news ${i}` });
    clock.advance(100);
  }
  expect(sent).toHaveLength(before + 1);
});

test('rejections are those of the last verdict, also of one that nobody asked for', () => {
  const { connect, publish, history, events } = setUp();
  const session = connect();
  const bad = { id: 'rule/shop/a/main', hash: 'h1', message: 'no such stage' };
  publish(session, { a: '1' });
  session.onVerdict(accept(history.revision, { rejected: [bad] }));
  expect(session.rejected).toEqual([bad]);
  expect(session.sequence).toBe(history.sequence);
  publish(session, { b: '1' });
  session.onVerdict(accept(history.revision, { rejected: [bad] }));
  expect(session.rejected).toEqual([bad]);
  publish(session, { a: '2' });
  session.onVerdict(accept(history.revision));
  expect(session.rejected).toEqual([]);
  session.onVerdict(accept(history.revision, { rejected: [bad] }));
  expect(session.rejected).toEqual([bad]);
  expect(events.at(-1)).toEqual({ type: 'acknowledged', rejected: [bad], tookMs: null });
});

test('figures of a load report that are no figures do not pass', () => {
  const { connect } = setUp();
  const session = connect();
  session.onLoad({
    ready: true,
    draining: false,
    inFlight: Number.NaN,
    requestsTotal: -5,
    requestsPerSecond: Number.POSITIVE_INFINITY,
    eventLoopUtilisation: 7,
    p99Ms: 2.5,
    revision: '',
    workers: 2,
  });
  expect(session.load).toMatchObject({
    inFlight: 0,
    requestsTotal: 0,
    requestsPerSecond: 0,
    eventLoopUtilisation: 1,
    p99Ms: 2.5,
  });
});

test('what it says of endpoints: all first, then changes, bounded', () => {
  const { connect, events } = setUp();
  const session = connect();
  const of = (backend: string, blocked: string[], endpoints = 0) => ({ backend, blocked, endpoints });
  session.onHealth({ whole: true, backends: [of('x', ['a']), of('y', [], 3), of('z', [])] });
  expect([...session.health]).toEqual([of('x', ['a']), of('y', [], 3)]);
  expect(events.at(-1)).toEqual({ type: 'health' });
  session.onHealth({ whole: false, backends: [of('y', []), of('z', ['b', 'c'])] });
  expect([...session.health]).toEqual([of('x', ['a']), of('z', ['b', 'c'])]);
  session.onHealth({ whole: true, backends: [of('z', ['b'])] });
  expect([...session.health]).toEqual([of('z', ['b'])]);
  const many = Array.from({ length: 10_001 }, (_, i) => of(`b${i}`, ['a']));
  session.onHealth({ whole: true, backends: [of('x', ['n'.repeat(10_000), ...Array(2_000).fill('a')]), ...many] });
  expect([...session.health]).toHaveLength(10_000);
  expect([...session.health][0]?.blocked).toEqual(Array(1_000).fill('a'));
});
