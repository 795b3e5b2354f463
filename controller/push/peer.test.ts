import { afterEach, expect, test } from 'vitest';
import { systemClock } from '../clock.ts';
import { silentLog } from '../log.ts';
import { TestClock } from '../test-clock.ts';
import { WatchedCertificates } from './certificates.ts';
import { FLEET_EXPIRY_MS, Fleet } from './fleet.ts';
import { Peers } from './peer.ts';
import { Publisher } from './publish.ts';
import { PushServer } from './server.ts';
import { TestAuthority } from './test-certificates.ts';
import { TestDataPlane } from './test-data-plane.ts';
import { TestCompiler } from './test-steps.ts';

const cleanUp: (() => unknown)[] = [];
afterEach(async () => {
  for (const undo of cleanUp.splice(0).reverse()) await undo();
});

async function startReplica(replica: string, certificates: WatchedCertificates | null = null, serverName = '') {
  const publisher = new Publisher({ clock: systemClock });
  const own = { leader: replica === 'r1', objects: 3, compileMs: 1.5 };
  const fleet = new Fleet({ replica, publisher, clock: systemClock, own: () => own });
  const peers = new Peers({ fleet, certificates, serverName, clock: systemClock, log: silentLog() });
  const server = new PushServer({
    listen: '127.0.0.1:0',
    certificates,
    insecure: true,
    dataPlaneNames: [],
    peerNames: [],
    gateway: 'tidegate',
    maxStreamAgeMs: 0,
    clock: systemClock,
    log: silentLog(),
    publisher,
    synced: () => true,
    onPeer: (stream) => peers.accept(stream),
  });
  await server.listen();
  const stop = async (): Promise<void> => {
    peers.stop();
    await server.stop();
  };
  cleanUp.push(stop);
  return { publisher, fleet, peers, server, stop, address: `127.0.0.1:${server.port}`, compiler: new TestCompiler() };
}

async function until(done: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!done()) {
    if (performance.now() > deadline) throw new Error(`never ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

function connect(address: string, node: string): TestDataPlane {
  const plane = new TestDataPlane(address, node);
  cleanUp.push(() => plane.close());
  return plane;
}

test('two replicas agree on the union, on revisions, and see a data plane move', async () => {
  const one = await startReplica('r1');
  const two = await startReplica('r2');
  const addresses = [one.address, two.address];
  // As in a cluster: each finds its own address among the peers'.
  one.peers.dial(addresses);
  two.peers.dial(addresses);
  for (const { publisher, compiler } of [one, two]) publisher.publish(compiler.step({ a: '1', b: '2' }));
  expect(one.publisher.history.revision).toBe(two.publisher.history.revision);

  const alpha = connect(one.address, 'alpha');
  const beta = connect(two.address, 'beta');
  for (const plane of [alpha, beta]) {
    await plane.until((p) => p.held.size === 2, 'was served');
    plane.load({ requestsPerSecond: 7 });
  }
  const view = ({ fleet }: typeof one) =>
    fleet
      .members()
      .map(({ node, replica, revision, ready, load }) => [node, replica, revision, ready, load?.requestsPerSecond]);
  const revision = one.publisher.history.revision;
  const expected = [
    ['alpha', 'r1', revision, true, 7],
    ['beta', 'r2', revision, true, 7],
  ];
  for (const replica of [one, two]) {
    await until(() => JSON.stringify(view(replica)) === JSON.stringify(expected), 'agreed');
    expect(replica.fleet.replicas()).toEqual([
      { replica: 'r1', leader: true, revision, objects: 3, compileMs: 1.5 },
      { replica: 'r2', leader: false, revision, objects: 3, compileMs: 1.5 },
    ]);
  }

  // The first replica goes: its data plane comes to the second, which is told at once.
  alpha.close();
  await one.stop();
  const moved = connect(two.address, 'alpha');
  await moved.until((p) => p.held.size === 2, 'was served');
  moved.load();
  await until(() => view(two)[0]?.[1] === 'r2', 'moved');
  expect(two.fleet.members().map(({ node, replica }) => [node, replica])).toEqual([
    ['alpha', 'r2'],
    ['beta', 'r2'],
  ]);
});

test('a rejection at one replica is known at the other', async () => {
  const one = await startReplica('r1');
  const two = await startReplica('r2');
  two.peers.dial([one.address]);
  one.publisher.publish(one.compiler.step({ a: '1' }));
  const rejected = [{ id: 'rule/shop/a/main', hash: 'h', message: 'no such stage' }];
  const plane = new TestDataPlane(one.address, 'alpha', { answer: () => ({ rejected }) });
  cleanUp.push(() => plane.close());
  await until(() => two.fleet.members()[0]?.rejected.length === 1, 'heard');
  expect(two.fleet.members()[0]?.rejected).toEqual(rejected);
});

test('what a data plane says of endpoints is known at every replica, also while it moves to another', async () => {
  const one = await startReplica('r1');
  const two = await startReplica('r2');
  two.peers.dial([one.address]);
  one.publisher.publish(one.compiler.step({ a: '1' }));
  two.publisher.publish(two.compiler.step({ a: '1' }));
  const health = (...blocked: string[]) => [{ backend: 'backend/shop/a', blocked, endpoints: 0 }];
  const seen = () => two.fleet.members().map((member) => [member.replica, member.health]);
  const plane = new TestDataPlane(one.address, 'alpha');
  cleanUp.push(() => plane.close());
  plane.health({ whole: true, backends: health('10.0.0.1:80') });
  plane.load();
  await until(() => two.fleet.members()[0]?.ready === true, 'ready');
  expect(seen()).toEqual([['r1', health('10.0.0.1:80')]]);
  plane.health({ whole: false, backends: health('10.0.0.1:80', '10.0.0.2:80') });
  await until(() => two.fleet.members()[0]?.health[0]?.blocked.length === 2, 'told');

  plane.close();
  const moved = new TestDataPlane(two.address, 'alpha', { held: plane.held });
  cleanUp.push(() => moved.close());
  await until(() => two.fleet.members()[0]?.replica === 'r2', 'moved');
  expect(seen()).toEqual([['r2', health('10.0.0.1:80', '10.0.0.2:80')]]);
  moved.health({ whole: true, backends: [] });
  moved.load();
  await until(() => two.fleet.members()[0]?.health.length === 0, 'told anew');
});

test('peers find each other again when one restarts', async () => {
  const one = await startReplica('r1');
  const two = await startReplica('r2');
  two.peers.dial([one.address]);
  await until(() => two.fleet.replicas().length === 2, 'connected');
  await one.stop();
  const again = new PushServer({
    listen: one.address,
    certificates: null,
    insecure: true,
    dataPlaneNames: [],
    peerNames: [],
    gateway: 'tidegate',
    maxStreamAgeMs: 0,
    clock: systemClock,
    log: silentLog(),
    publisher: one.publisher,
    synced: () => true,
    onPeer: (stream) => peers.accept(stream),
  });
  const fleet = new Fleet({
    replica: 'r1b',
    publisher: one.publisher,
    clock: systemClock,
    own: () => ({ leader: false, objects: 0, compileMs: 0 }),
  });
  const peers = new Peers({ fleet, certificates: null, serverName: '', clock: systemClock, log: silentLog() });
  await again.listen();
  cleanUp.push(async () => {
    peers.stop();
    await again.stop();
  });
  await until(() => two.fleet.replicas().some(({ replica }) => replica === 'r1b'), 'found it again');
});

test('peers use mTLS, and check the name although they dial an address', async () => {
  const authority = new TestAuthority();
  cleanUp.push(() => authority.remove());
  authority.authority('ca');
  const good = await WatchedCertificates.open(authority.issue('a', 'ca', 'controller.test'), silentLog());
  const wrong = await WatchedCertificates.open(authority.issue('b', 'ca', 'other.test'), silentLog());
  cleanUp.push(
    () => good.close(),
    () => wrong.close(),
  );
  const one = await startReplica('r1', good, 'controller.test');
  const two = await startReplica('r2', good, 'controller.test');
  const impostor = await startReplica('r3', wrong, 'controller.test');
  two.peers.dial([one.address, impostor.address]);
  await until(() => two.fleet.replicas().length === 2, 'connected');
  expect(two.fleet.replicas().map(({ replica }) => replica)).toEqual(['r1', 'r2']);
});

test('what is not confirmed expires; a slower second stream does not turn back time', () => {
  const clock = new TestClock();
  const publisher = new Publisher({ clock });
  const fleet = new Fleet({
    replica: 'me',
    publisher,
    clock,
    own: () => ({ leader: false, objects: 0, compileMs: 0 }),
  });
  let changes = 0;
  fleet.onChange(() => changes++);
  const report = (revision: string) => ({
    replica: 'other',
    leader: true,
    revision,
    objects: 1,
    compileMs: 1,
    dataPlanes: [
      { node: 'alpha', zone: '', revision, rejected: [], load: null, programVersion: '', message: '', health: [] },
    ],
  });
  const first = {};
  const second = {};
  expect(fleet.report(report('new'), first)).toBe(true);
  fleet.report(report('old'), second);
  expect(fleet.members()[0]?.revision).toBe('new');
  expect(changes).toBe(1);
  fleet.report(report('new'), first);
  expect(changes).toBe(1);
  clock.advance(FLEET_EXPIRY_MS);
  expect(fleet.members()).toHaveLength(1);
  clock.advance(1);
  expect(fleet.members()).toHaveLength(0);
  expect(fleet.replicas().map(({ replica }) => replica)).toEqual(['me']);
  fleet.report(report('later'), second);
  expect(fleet.members()[0]?.revision).toBe('later');
  expect(fleet.report({ ...report('x'), replica: 'me' }, first)).toBe(false);
});

test('a ready data plane that lost its stream counts for a while with what it holds; one that drained does not', () => {
  const clock = new TestClock();
  const publisher = new Publisher({ clock });
  const fleet = new Fleet({ replica: 'me', publisher, clock, own: () => ({ leader: true, objects: 0, compileMs: 0 }) });
  const compiler = new TestCompiler();
  publisher.publish(compiler.step({ a: '1' }));
  const connectHere = (node: string) =>
    publisher.connect(
      {
        node,
        zone: '',
        schemaVersion: 1,
        revision: '',
        programVersion: '',
        gateway: 'tidegate',
        held: [],
        share: null,
      },
      () => {},
      () => {},
    );
  const idle = {
    inFlight: 0,
    requestsTotal: 0,
    requestsPerSecond: 0,
    eventLoopUtilisation: 0,
    p99Ms: 0,
    revision: '',
    workers: 1,
  };
  const held = publisher.history.revision;
  const [alpha, beta] = ['alpha', 'beta'].map((node) => {
    const session = connectHere(node);
    session.onVerdict({ revision: held, accepted: true, rejected: [], message: '' });
    session.onLoad({ ready: true, draining: false, ...idle });
    return session;
  });
  if (alpha === undefined || beta === undefined) throw new Error('no sessions');
  beta.onLoad({ ready: false, draining: true, ...idle });
  publisher.disconnect(alpha);
  publisher.disconnect(beta);
  publisher.publish(compiler.step({ a: '2' }));
  const view = () => fleet.members().map(({ node, revision, ready }) => [node, revision, ready]);
  expect(view()).toEqual([['alpha', held, true]]);
  expect(fleet.ownReport().dataPlanes.map(({ node }) => node)).toEqual(['alpha']);
  // It comes back: the new stream is what counts, and it is as ready as it was until it says otherwise.
  const back = connectHere('alpha');
  expect(view()).toEqual([['alpha', '', true]]);
  expect(fleet.ownReport().dataPlanes).toHaveLength(1);
  back.onLoad({ ready: false, draining: false, ...idle });
  expect(view()).toEqual([['alpha', '', false]]);
  back.onLoad({ ready: true, draining: false, ...idle });
  publisher.disconnect(back);
  clock.advance(FLEET_EXPIRY_MS + 1);
  expect(view()).toEqual([]);
});
