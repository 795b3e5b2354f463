import type { Hello, PeerReport, Share, ToDataPlane } from '@tidegate/dataplane/snapshot/protocol';
import { snapshotsService } from '@tidegate/dataplane/snapshot/protocol';
import { SCHEMA_VERSION } from '@tidegate/dataplane/snapshot/schema-version';
import { afterEach, expect, test } from 'vitest';
import { systemClock } from '../clock.ts';
import { silentLog } from '../log.ts';
import { TestClock } from '../test-clock.ts';
import { FLEET_EXPIRY_MS, Fleet } from './fleet.ts';
import { Peers } from './peer.ts';
import { Publisher } from './publish.ts';
import { PushServer } from './server.ts';
import type { Session } from './session.ts';
import { SETTLE_MS, Shares } from './shares.ts';
import { TestDataPlane } from './test-data-plane.ts';
import { TestCompiler } from './test-steps.ts';

const cleanUp: (() => unknown)[] = [];
afterEach(async () => {
  for (const undo of cleanUp.splice(0).reverse()) await undo();
});

const READY = {
  ...{ ready: true, draining: false, inFlight: 0, requestsTotal: 0, requestsPerSecond: 0 },
  ...{ eventLoopUtilisation: 0, p99Ms: 0, revision: '', workers: 1 },
};

/** A replica without a network: what it tells each data plane, as it would go out. */
class Replica {
  readonly publisher: Publisher;
  readonly fleet: Fleet;
  readonly shares: Shares;
  readonly told = new Map<string, Share[]>();
  readonly sent = new Map<string, string[]>();

  constructor(clock: TestClock, name = 'r1') {
    this.publisher = new Publisher({ clock });
    this.fleet = new Fleet({
      replica: name,
      publisher: this.publisher,
      clock,
      own: () => ({ leader: true, objects: 0, compileMs: 0 }),
    });
    this.shares = new Shares({ fleet: this.fleet, publisher: this.publisher, clock });
  }

  connect(node: string, share: Share | null = null): Session {
    const told: Share[] = [];
    const sent: string[] = [];
    this.told.set(node, told);
    this.sent.set(node, sent);
    const hello: Hello = {
      ...{ node, zone: '', schemaVersion: SCHEMA_VERSION, revision: '', programVersion: '', gateway: 'tidegate' },
      ...{ held: [], share },
    };
    const deserialize = snapshotsService.Subscribe?.responseDeserialize as (bytes: Buffer) => ToDataPlane;
    const session = this.publisher.connect(
      hello,
      (messages) => {
        for (const bytes of messages) {
          const message = deserialize(bytes);
          sent.push(message.message ?? '');
          if (message.message === 'share') told.push({ ...message.share });
        }
      },
      () => {},
    );
    return session;
  }

  last(node: string): string {
    const share = this.told.get(node)?.at(-1);
    return share === undefined ? 'nothing' : `${share.place}/${share.dataPlanes}`;
  }
}

/** Every second a report, as data planes do. */
function pass(clock: TestClock, ms: number, ...sessions: Session[]): void {
  for (let at = 0; at < ms; at += 500) {
    for (const session of sessions) session.onLoad(READY);
    clock.advance(Math.min(500, ms - at));
  }
}

test('one, three, two: told before the first delta, and again when the number changes, and only then', () => {
  const clock = new TestClock();
  const replica = new Replica(clock);
  replica.publisher.publish(new TestCompiler().step({ a: '1' }));
  const b = replica.connect('b');
  expect(replica.sent.get('b')).toEqual(['share', 'delta']);
  expect(replica.last('b')).toBe('0/1');
  const a = replica.connect('a');
  const c = replica.connect('c');
  expect(['a', 'b', 'c'].map((node) => replica.last(node))).toEqual(['0/3', '1/3', '2/3']);
  pass(clock, 20_000, a, b, c);
  expect(replica.told.get('b')).toHaveLength(3);

  // It drains: it counts until its stream ends, as it serves what it has.
  c.onLoad({ ...READY, ready: false, draining: true });
  expect(replica.last('a')).toBe('0/3');
  replica.publisher.disconnect(c);
  expect(['a', 'b'].map((node) => replica.last(node))).toEqual(['0/2', '1/2']);
});

test('one whose stream breaks may serve on: it counts for a while', () => {
  const clock = new TestClock();
  const replica = new Replica(clock);
  const [a, b] = [replica.connect('a'), replica.connect('b')];
  pass(clock, SETTLE_MS, a, b);
  replica.publisher.disconnect(b);
  pass(clock, FLEET_EXPIRY_MS - 500, a);
  expect(replica.last('a')).toBe('0/2');
  pass(clock, 2_500, a);
  expect(replica.last('a')).toBe('0/1');
});

test('a controller that starts gives nobody more than they say they have, until the others had time to come', () => {
  const clock = new TestClock();
  const replica = new Replica(clock);
  const a = replica.connect('a', { place: 2, dataPlanes: 4 });
  expect(replica.last('a')).toBe('0/4');
  const b = replica.connect('b', { place: 3, dataPlanes: 4 });
  pass(clock, SETTLE_MS - 500, a, b);
  expect(['a', 'b'].map((node) => replica.last(node))).toEqual(['0/4', '1/4']);
  pass(clock, 1_500, a, b);
  expect(['a', 'b'].map((node) => replica.last(node))).toEqual(['0/2', '1/2']);
});

test('replicas share out over all data planes of all of them', () => {
  const clock = new TestClock();
  const [one, two] = [new Replica(clock, 'r1'), new Replica(clock, 'r2')];
  const a = one.connect('a');
  const b = two.connect('b');
  const tell = (from: Replica, to: Replica): void => {
    to.fleet.report({ ...from.fleet.ownReport() } satisfies PeerReport, from);
  };
  tell(one, two);
  expect(two.last('b')).toBe('1/2');
  tell(two, one);
  expect(one.last('a')).toBe('0/2');
  expect([...one.shares.parts()]).toEqual([...two.shares.parts()]);
  // The other replica falls silent: what it served is forgotten after a while.
  pass(clock, FLEET_EXPIRY_MS + 1_500, a, b);
  expect(one.last('a')).toBe('0/1');
});

/** A replica on real streams. */
async function startReplica(replica: string) {
  const publisher = new Publisher({ clock: systemClock });
  const own = { leader: true, objects: 0, compileMs: 0 };
  const fleet = new Fleet({ replica, publisher, clock: systemClock, own: () => own });
  const peers = new Peers({ fleet, certificates: null, serverName: '', clock: systemClock, log: silentLog() });
  const shares = new Shares({ fleet, publisher, clock: systemClock });
  const server = new PushServer({
    ...{ listen: '127.0.0.1:0', certificates: null, insecure: true, dataPlaneNames: [], peerNames: [] },
    ...{ gateway: 'tidegate', maxStreamAgeMs: 0, clock: systemClock, log: silentLog(), publisher, synced: () => true },
    onPeer: (stream) => peers.accept(stream),
  });
  await server.listen();
  const stop = async (): Promise<void> => {
    shares.stop();
    peers.stop();
    await server.stop();
  };
  cleanUp.push(stop);
  return { peers, stop, address: `127.0.0.1:${server.port}` };
}

function connect(address: string, node: string, share: Share | null = null): TestDataPlane {
  const plane = new TestDataPlane(address, node, { hello: { share } });
  cleanUp.push(() => plane.close());
  return plane;
}

async function expectParts(dataPlanes: number, planes: readonly TestDataPlane[]): Promise<void> {
  for (const [place, plane] of planes.entries()) {
    const told = ({ share }: TestDataPlane): boolean => share?.place === place && share.dataPlanes === dataPlanes;
    await plane.until(told, `was told ${place} of ${dataPlanes}`);
  }
}

test('over real streams: three, then two', async () => {
  const { address } = await startReplica('r1');
  const [x, y, z] = [connect(address, 'x'), connect(address, 'y'), connect(address, 'z')];
  await expectParts(3, [x, y, z]);
  x.close();
  await expectParts(2, [y, z]);
});

test('over the streams of two replicas; when one of them ends, its data planes come to the other', async () => {
  const [one, two] = [await startReplica('r1'), await startReplica('r2')];
  one.peers.dial([two.address]);
  const planes = [connect(one.address, 'a'), connect(two.address, 'b'), connect(one.address, 'c')];
  await expectParts(3, planes);
  const [a, b, c] = planes as [TestDataPlane, TestDataPlane, TestDataPlane];
  await one.stop();
  // They say what they went by, so nobody is given more before the last one is back.
  const back = connect(two.address, 'a', a.share);
  await expectParts(3, [back, b].slice(0, 2));
  const all = connect(two.address, 'c', c.share);
  await expectParts(3, [back, b, all]);
});
