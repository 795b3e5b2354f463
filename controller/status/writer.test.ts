import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ObjectRef } from '../api/problem.ts';
import { silentLog } from '../log.ts';
import type { ObjectOutcome } from '../model/outcome.ts';
import type { FleetMember } from '../push/fleet.ts';
import { History } from '../push/history.ts';
import { eventually, failure, quiet, TestApi, type TestObject } from '../test-api.ts';
import { TestClock } from '../test-clock.ts';
import { StatusBoard } from './board.ts';
import { EventRecorder } from './events.ts';
import { summarise } from './programmed.ts';
import { StatusWriter } from './writer.ts';

const PATH = '/apis/tidegate.dev/v1alpha1/namespaces/shop/routes/orders';
const REF: ObjectRef = { kind: 'Route', namespace: 'shop', name: 'orders' };

let server: TestApi;
beforeEach(async () => {
  server = await TestApi.start();
});
afterEach(async () => {
  await server.stop();
});

interface Held extends TestObject {
  status?: { conditions?: { type: string; status: string; reason: string; lastTransitionTime: string }[] };
}

function setUp(): {
  clock: TestClock;
  writer: StatusWriter;
  compile: (generation: number, more?: Partial<ObjectOutcome>) => void;
  fleet: (...revisions: string[]) => void;
  /** What the watch has shown. */
  see: () => void;
  object: () => Held;
  writes: () => number;
  programmed: () => string | undefined;
  revision: () => string;
} {
  const clock = new TestClock();
  const history = new History();
  const board = new StatusBoard(() => undefined);
  let seen: Held | undefined;
  const events = new EventRecorder({ api: server.api, replica: 'me', clock, log: silentLog() });
  const writer = new StatusWriter({
    board,
    api: server.api,
    events,
    held: () => {
      if (seen === undefined) return undefined;
      const { uid, generation, resourceVersion } = seen.metadata as unknown as {
        uid: string;
        generation: number;
        resourceVersion: string;
      };
      return { uid, generation, resourceVersion, status: seen.status };
    },
    clock,
    log: silentLog(),
  });
  const object = (): Held => server.objects.get(PATH) as Held;
  const create = (generation: number): void => {
    server.put(PATH, { ...object(), metadata: { name: 'orders', namespace: 'shop', uid: 'u', generation } });
    seen = object();
  };
  const compile = (generation: number, more: Partial<ObjectOutcome> = {}): void => {
    create(generation);
    history.append({ revision: `revision-${generation}`, upsert: [], removed: [] });
    const outcome: ObjectOutcome = {
      ref: REF,
      uid: 'u',
      generation,
      problems: [],
      conditions: [{ type: 'Accepted', status: 'True', reason: 'Accepted', message: '' }],
      summary: { hosts: '*', backends: '' },
      resources: [],
      ...more,
    };
    board.compiled({ outcomes: new Map([['Route/shop/orders', outcome]]), forgotten: [] }, history.sequence);
  };
  const fleet = (...revisions: string[]): void => {
    const members = revisions.map(
      (revision, i): FleetMember => ({
        node: `n${i}`,
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
      }),
    );
    board.fleetChanged(summarise(members, history));
  };
  return {
    clock,
    writer,
    compile,
    fleet,
    see: () => {
      seen = object();
    },
    object,
    writes: () => server.requests.filter(({ method }) => method === 'PATCH').length,
    programmed: () => object().status?.conditions?.find(({ type }) => type === 'Programmed')?.reason,
    revision: () => history.revision,
  };
}

test('nobody but the leader writes; who begins to lead looks at everything', async () => {
  const { writer, compile, fleet, writes, programmed, revision } = setUp();
  compile(1);
  fleet(revision());
  await quiet();
  expect(writes()).toBe(0);
  writer.lead(true);
  await eventually(() => programmed() === 'Programmed', 'written');
  expect(writes()).toBe(1);
});

test('a new generation is written once, when it is programmed', async () => {
  const { writer, compile, fleet, writes, programmed, revision, clock } = setUp();
  writer.lead(true);
  compile(1);
  await quiet();
  expect(writes()).toBe(0);
  clock.advance(100);
  fleet(revision());
  await eventually(() => programmed() === 'Programmed', 'written');
  expect(writes()).toBe(1);
});

test('a generation that stays away is told after half a second', async () => {
  const { writer, compile, writes, programmed, clock } = setUp();
  writer.lead(true);
  compile(1);
  await quiet();
  clock.advance(499);
  await quiet();
  expect(writes()).toBe(0);
  clock.advance(1);
  await eventually(() => programmed() === 'NoDataPlane', 'written');
});

test('what was true is doubted only after a while: a controller that starts knows no data plane yet', async () => {
  const { writer, compile, fleet, writes, programmed, revision, clock, see } = setUp();
  writer.lead(true);
  compile(1);
  fleet(revision());
  await eventually(() => programmed() === 'Programmed', 'written');
  see();
  fleet();
  await quiet();
  clock.advance(14_999);
  await quiet();
  expect(writes()).toBe(1);
  fleet(revision());
  clock.advance(60_000);
  await quiet();
  expect(writes()).toBe(1);
  fleet();
  await quiet();
  clock.advance(15_000);
  await eventually(() => programmed() === 'NoDataPlane', 'written');
  expect(writes()).toBe(2);
});

test('its own write is known before the watch shows it', async () => {
  const { writer, compile, fleet, writes, programmed, revision, see } = setUp();
  writer.lead(true);
  compile(1);
  fleet(revision());
  await eventually(() => programmed() === 'Programmed', 'written');
  writer.enqueue(['Route/shop/orders']);
  await quiet();
  see();
  writer.enqueue(['Route/shop/orders']);
  await quiet();
  expect(writes()).toBe(1);
});

test('a conflict is computed again from what is there, other failures are tried again', async () => {
  const { writer, compile, fleet, writes, programmed, revision, object, see, clock } = setUp();
  writer.lead(true);
  compile(1);
  // Someone else wrote meanwhile, and the watch has not shown it.
  const foreign = {
    type: 'example.com/Audited',
    status: 'True',
    reason: 'Audited',
    message: '',
    lastTransitionTime: '2026-01-01T00:00:00Z',
  };
  server.put(PATH, { ...object(), status: { conditions: [foreign] } });
  fleet(revision());
  await eventually(() => writes() === 1, 'tried');
  see();
  let failing = true;
  server.handler = ({ method }, response) => {
    if (!failing || method !== 'PATCH') return false;
    failing = false;
    failure(response, 500, 'InternalError');
    return true;
  };
  for (let i = 0; i < 50 && programmed() === undefined; i++) {
    clock.advance(1_000);
    await quiet();
  }
  expect(object().status?.conditions?.map(({ type }) => type)).toEqual([
    'example.com/Audited',
    'Accepted',
    'Programmed',
  ]);
  expect(writes()).toBe(3);
});

test('what was compiled from an older generation, or from an object of another life, is not written', async () => {
  const { writer, compile, fleet, revision, writes, object, see } = setUp();
  compile(1);
  for (const change of [{ generation: 2 }, { uid: 'another' }]) {
    server.put(PATH, {
      ...object(),
      metadata: { name: 'orders', namespace: 'shop', uid: 'u', generation: 1, ...change },
    });
    see();
    writer.lead(true);
    fleet(revision());
    await quiet();
  }
  expect(writes()).toBe(0);
});

test('an object that is gone is left alone', async () => {
  const { writer, compile, fleet, revision, writes } = setUp();
  compile(1);
  server.objects.delete(PATH);
  writer.lead(true);
  fleet(revision());
  await eventually(() => writes() === 1, 'tried');
  await quiet();
  expect(writes()).toBe(1);
});

test('an Event tells a new problem, once, with its place', async () => {
  const { writer, compile, fleet, revision, see, programmed } = setUp();
  const events = () => server.requests.filter(({ path }) => path.endsWith('/events')).map(({ body }) => body);
  const problems = [
    {
      object: REF,
      path: 'spec.rules[0].backends[0].name',
      reason: 'BackendNotFound' as const,
      message: 'there is no Backend cart',
    },
  ];
  const conditions = [
    { type: 'Accepted' as const, status: 'True' as const, reason: 'Accepted', message: '' },
    { type: 'ResolvedRefs' as const, status: 'False' as const, reason: 'BackendNotFound', message: 'no cart' },
  ];
  writer.lead(true);
  compile(1, { problems, conditions });
  fleet(revision());
  await eventually(() => events().length === 1, 'told');
  expect(events()[0]).toMatchObject({
    apiVersion: 'events.k8s.io/v1',
    type: 'Warning',
    reason: 'BackendNotFound',
    note: 'spec.rules[0].backends[0].name: there is no Backend cart',
    regarding: { kind: 'Route', namespace: 'shop', name: 'orders', uid: 'u' },
    reportingController: 'tidegate.dev/controller',
    reportingInstance: 'me',
  });
  see();
  compile(2, { problems, conditions });
  fleet(revision());
  await eventually(() => programmed() === 'Programmed', 'written again');
  await quiet();
  expect(events()).toHaveLength(1);
});

test('columns that flap are written at once, then at most once a second, and the last word is right', async () => {
  const { writer, compile, fleet, revision, see, object, writes, clock } = setUp();
  const events = () => server.requests.filter(({ path }) => path.endsWith('/events')).map(({ body }) => body);
  const say = (endpoints: string): void => {
    see();
    compile(1, { summary: { target: 'Service/orders:80', protocol: 'http1', endpoints } });
  };
  const column = () => (object().status as { endpoints?: string } | undefined)?.endpoints;
  writer.lead(true);
  say('2/2');
  fleet(revision());
  await eventually(() => column() === '2/2', 'written');
  const first = writes();
  clock.advance(5_000);
  for (let i = 0; i < 20; i++) {
    say(i % 2 === 0 ? '1/2' : '2/2');
    fleet(revision());
    await quiet();
    clock.advance(50);
  }
  say('0/2');
  fleet(revision());
  await quiet();
  expect(writes() - first).toBeLessThanOrEqual(2);
  clock.advance(1_000);
  await eventually(() => column() === '0/2', 'the last word');
  expect(writes() - first).toBeLessThanOrEqual(3);
  await eventually(() => events().length === 1, 'an Event');
  expect(events()[0]).toMatchObject({
    reason: 'NoHealthyEndpoint',
    note: 'none of its endpoints is healthy (0/2)',
    action: 'CheckHealth',
  });
});
