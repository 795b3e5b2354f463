import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { credentials as grpcCredentials, status } from '@grpc/grpc-js';
import { MAX_MESSAGE_BYTES } from '@tidegate/dataplane/snapshot/protocol';
import { afterEach, expect, test } from 'vitest';
import { systemClock } from '../clock.ts';
import { silentLog } from '../log.ts';
import { WatchedCertificates } from './certificates.ts';
import { Publisher } from './publish.ts';
import { PushServer, type PushServerOptions } from './server.ts';
import { TestAuthority } from './test-certificates.ts';
import { TestDataPlane, type TestOptions } from './test-data-plane.ts';
import { TestCompiler } from './test-steps.ts';

const cleanUp: (() => unknown)[] = [];
afterEach(async () => {
  for (const undo of cleanUp.splice(0).reverse()) await undo();
});

async function startServer(more: Partial<PushServerOptions> = {}) {
  const publisher = new Publisher({ clock: systemClock });
  const server = new PushServer({
    listen: '127.0.0.1:0',
    certificates: null,
    insecure: true,
    dataPlaneNames: [],
    peerNames: [],
    gateway: 'tidegate',
    maxStreamAgeMs: 0,
    clock: systemClock,
    log: silentLog(),
    publisher,
    synced: () => true,
    onPeer: (stream) => stream.end(),
    ...more,
  });
  await server.listen();
  cleanUp.push(() => server.stop());
  const address = server.port === 0 ? (more.listen ?? '') : `127.0.0.1:${server.port}`;
  const connect = (node: string, options: TestOptions = {}): TestDataPlane => {
    const plane = new TestDataPlane(address, node, options);
    cleanUp.push(() => plane.close());
    return plane;
  };
  return { publisher, server, address, connect, compiler: new TestCompiler() };
}

function folderOf(name: string): string {
  const folder = mkdtempSync(path.join(tmpdir(), name));
  cleanUp.push(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

test('two data planes are brought to the snapshot and follow it by deltas', async () => {
  const { publisher, connect, compiler } = await startServer();
  publisher.publish(compiler.step({ a: '1', b: '1' }));
  const planes = [connect('one'), connect('two')];
  for (const plane of planes) await plane.until((p) => p.revision === publisher.history.revision, 'held the first');
  publisher.publish(compiler.step({ b: '2', c: '1' }));
  publisher.publish(compiler.step({ a: null }));
  for (const plane of planes) {
    await plane.until((p) => p.revision === publisher.history.revision, 'held the last');
    expect(plane.held).toEqual(compiler.held());
    expect(plane.deltas[0]?.baseRevision).toBe('');
    expect(
      plane.deltas
        .slice(1)
        .flatMap((delta) => delta.upsert)
        .sort(),
    ).toEqual(['rule/shop/b/main', 'rule/shop/c/main']);
  }
});

test('a burst while a push is in flight is one more push', async () => {
  const { publisher, connect, compiler } = await startServer();
  let hold = true;
  const held: (() => void)[] = [];
  const plane = connect('one', {
    answer: () => {
      if (!hold) return {};
      held.push(() => {});
      return undefined;
    },
  });
  publisher.publish(compiler.step({ a: '0' }));
  await plane.until((p) => p.deltas.length === 1, 'got the first push');
  for (let i = 1; i <= 100; i++) publisher.publish(compiler.step({ [`r${i}`]: 'x' }));
  hold = false;
  plane.verdict({ revision: plane.deltas[0]?.revision ?? '', accepted: false, message: 'again' });
  await plane.until((p) => p.revision === publisher.history.revision, 'held everything');
  expect(plane.deltas).toHaveLength(2);
  expect(plane.held.size).toBe(101);
});

test('a large snapshot travels in parts below the message bound', async () => {
  const { publisher, connect, compiler } = await startServer();
  const body = 'x'.repeat(60_000);
  publisher.publish(compiler.step(Object.fromEntries(Array.from({ length: 80 }, (_, i) => [`r${i}`, `${i}${body}`]))));
  const plane = connect('one');
  await plane.until((p) => p.revision === publisher.history.revision, 'held everything');
  expect(plane.held).toEqual(compiler.held());
  expect(plane.deltas[0]?.parts).toBeGreaterThanOrEqual(5);
  expect(MAX_MESSAGE_BYTES).toBeGreaterThan(2 * 1024 * 1024);
});

test('a data plane that comes back is sent only what changed', async () => {
  const { publisher, connect, compiler } = await startServer();
  publisher.publish(compiler.step({ a: '1', b: '1' }));
  const held = compiler.held();
  publisher.publish(compiler.step({ b: '2' }));
  const plane = connect('one', { held });
  await plane.until((p) => p.revision === publisher.history.revision, 'held the current one');
  expect(plane.deltas).toEqual([expect.objectContaining({ upsert: ['rule/shop/b/main'], removed: [] })]);
});

test('no stream is served before the sources are read', async () => {
  let synced = false;
  const { publisher, connect, compiler } = await startServer({ synced: () => synced });
  const early = connect('one');
  await early.until((p) => p.error !== null, 'was refused');
  expect(early.error?.code).toBe(status.UNAVAILABLE);
  synced = true;
  publisher.publish(compiler.step({ a: '1' }));
  const later = connect('one');
  await later.until((p) => p.held.size === 1, 'was served');
});

test.each([
  ['another schema version', { schemaVersion: 999 }, 'schema-version', /install both from one release/],
  ['another gateway', { gateway: 'other' }, 'gateway', /serves gateway "tidegate".*"other"/],
  ['no node name', { node: '' }, 'node', /1 to 253/],
])('%s is refused with a reason', async (_name, hello, code, message) => {
  const { connect, publisher } = await startServer();
  const plane = connect('one', { hello });
  await plane.until((p) => p.ended, 'was ended');
  expect(plane.refusal).toMatchObject({ code, message: expect.stringMatching(message) });
  expect(publisher.sessionCount).toBe(0);
});

test('a second stream of the same node takes over', async () => {
  const { connect, publisher, compiler } = await startServer();
  publisher.publish(compiler.step({ a: '1' }));
  const first = connect('one');
  await first.until((p) => p.held.size === 1, 'was served');
  const second = connect('one');
  await second.until((p) => p.held.size === 1, 'was served');
  await first.until((p) => p.error !== null, 'was ended');
  expect(publisher.sessionCount).toBe(1);
});

test('a stream is ended at its age, and a stop tells all of them', async () => {
  const { connect, publisher, server } = await startServer({ maxStreamAgeMs: 50 });
  const aged = connect('one');
  await aged.until((p) => p.error !== null, 'aged');
  expect(aged.error).toMatchObject({ code: status.UNAVAILABLE, details: expect.stringContaining('connect again') });
  const other = connect('two');
  const connected = new Promise((resolve) => publisher.onEvent((session) => session.node === 'two' && resolve(null)));
  await connected;
  await server.stop();
  await other.until((p) => p.error !== null, 'was told');
  expect(other.error?.code).toBe(status.UNAVAILABLE);
});

test('a socket is for its owner alone, and a file in its place is left alone', async () => {
  const folder = folderOf('tidegate-socket-');
  const socket = path.join(folder, 'inner', 'controller.sock');
  const { connect, publisher, compiler } = await startServer({ listen: `unix:${socket}`, insecure: false });
  expect(statSync(socket).mode & 0o777).toBe(0o600);
  expect(statSync(path.dirname(socket)).mode & 0o777).toBe(0o700);
  publisher.publish(compiler.step({ a: '1' }));
  const plane = connect('one');
  await plane.until((p) => p.held.size === 1, 'was served');
  const file = path.join(folder, 'file');
  writeFileSync(file, 'precious');
  await expect(startServer({ listen: `unix:${file}` })).rejects.toMatchObject({ code: 'CTL_LISTEN' });
  expect(readFileSync(file, 'utf8')).toBe('precious');
});

test('without certificates only loopback is served, and only when asked', async () => {
  await expect(startServer({ insecure: false })).rejects.toMatchObject({ code: 'CTL_LISTEN' });
  await expect(startServer({ listen: '0.0.0.0:0' })).rejects.toMatchObject({ code: 'CTL_LISTEN' });
});

test('mTLS: the right certificate is served; none, a strange one and the wrong name are not; renewal needs no restart', async () => {
  const authority = new TestAuthority();
  cleanUp.push(() => authority.remove());
  authority.authority('ca');
  authority.authority('stranger');
  const own = authority.issue('controller', 'ca', 'controller.test');
  const good = authority.issue('dp', 'ca', 'dataplane.test');
  const misnamed = authority.issue('other', 'ca', 'other.test');
  const strange = authority.issue('strange', 'stranger', 'dataplane.test');
  const certificates = await WatchedCertificates.open(own, silentLog());
  cleanUp.push(() => certificates.close());
  const { connect, publisher, compiler } = await startServer({ certificates, dataPlaneNames: ['dataplane.test'] });
  publisher.publish(compiler.step({ a: '1' }));
  const tls = (files: typeof good | null, ca = own.authorityFile) =>
    grpcCredentials.createSsl(
      readFileSync(ca),
      files === null ? null : readFileSync(files.keyFile),
      files === null ? null : readFileSync(files.certificateFile),
    );

  const served = connect('one', { credentials: tls(good) });
  await served.until((p) => p.held.size === 1 || p.error !== null, 'was served');
  expect(served.error).toBe(null);
  for (const [node, credentials, code] of [
    ['plain', grpcCredentials.createInsecure(), status.UNAVAILABLE],
    ['none', tls(null), status.UNAVAILABLE],
    ['strange', tls(strange), status.UNAVAILABLE],
    ['misnamed', tls(misnamed), status.PERMISSION_DENIED],
  ] as const) {
    const plane = connect(node, { credentials });
    await plane.until((p) => p.error !== null, 'was refused');
    expect([node, plane.error?.code]).toEqual([node, code]);
    expect(plane.held.size).toBe(0);
  }

  // A new authority signs everything anew, in the same files.
  authority.authority('ca');
  authority.issue('controller', 'ca', 'controller.test');
  const renewed = authority.issue('dp2', 'ca', 'dataplane.test');
  await certificates.refresh();
  const after = connect('two', { credentials: tls(renewed) });
  await after.until((p) => p.held.size === 1, 'was served with the new certificates');
  const old = connect('three', { credentials: tls(good) });
  await old.until((p) => p.error !== null, 'was refused');
  // Half-written files change nothing.
  writeFileSync(own.keyFile, 'nonsense');
  await certificates.refresh();
  const still = connect('four', { credentials: tls(renewed) });
  await still.until((p) => p.held.size === 1, 'was still served');
});
