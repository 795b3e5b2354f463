import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, expect, test } from 'vitest';
import type { DataplaneError } from '../errors.ts';
import { silentLog } from '../log.ts';
import { backendFixture, ruleFixture } from '../snapshot/fixtures.ts';
import type { Share, Verdict } from '../snapshot/protocol.ts';
import { ControllerStream, STREAM_DEFAULTS, type StreamOptions } from './client.ts';
import { type CompleteDelta, HeldSnapshot } from './held.ts';
import { Inbox, TestController, TestSnapshot } from './test-controller.ts';

const cleanups: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** A data plane without workers: it accepts what its held snapshot accepts. */
function dataPlane(controllers: string[], options: Partial<StreamOptions> = {}) {
  const held = new HeldSnapshot();
  const failures = new Inbox<DataplaneError>();
  const connections = new Inbox<string>();
  const deltas: CompleteDelta[] = [];
  const shares = new Inbox<Share>();
  const stream = new ControllerStream(
    {
      ...STREAM_DEFAULTS,
      controllers,
      credentials: null,
      log: silentLog,
      random: () => 0,
      backoffBaseMs: 1,
      ...options,
    },
    {
      hello: () => ({
        node: 'dp-1',
        zone: 'z',
        schemaVersion: 1,
        revision: held.revision,
        programVersion: '0',
        gateway: 'tidegate',
        share: null,
        held: held.hashes(),
      }),
      share: (share) => shares.push(share),
      async apply(delta): Promise<Verdict> {
        deltas.push(delta);
        const plan = held.plan(delta);
        if (!plan.ok) return { revision: delta.revision, accepted: false, rejected: [], message: plan.message };
        held.commit(plan, []);
        return { revision: delta.revision, accepted: true, rejected: [], message: '' };
      },
      connected: (address) => connections.push(address),
      disconnected: (error) => failures.push(error),
    },
  );
  cleanups.push(() => stream.stop());
  stream.start();
  return { stream, held, failures, connections, deltas, shares };
}

async function controller(listen?: string): Promise<TestController> {
  const started = await TestController.start(listen);
  cleanups.push(() => started.stop());
  return started;
}

const ONE = new TestSnapshot([ruleFixture('shop/a/r'), backendFixture('shop/a')]);
const TWO = new TestSnapshot([ruleFixture('shop/a/r', { hosts: ['a.example'] }), ruleFixture('shop/b/r')]);

test('cold start, parts of a delta, a step, and each one answered', async () => {
  const c = await controller();
  const { held } = dataPlane([c.address]);
  const stream = await c.streams.next();
  expect(stream.hello).toMatchObject({ node: 'dp-1', zone: 'z', revision: '', held: [], gateway: 'tidegate' });

  const full = ONE.full();
  for (const [i, resource] of full.upsert.entries()) {
    stream.send({ ...full, upsert: [resource], last: i === full.upsert.length - 1 });
  }
  expect(await stream.verdicts.next()).toEqual({ revision: ONE.revision, accepted: true, rejected: [], message: '' });
  stream.send(TWO.since(ONE));
  expect((await stream.verdicts.next()).revision).toBe(TWO.revision);
  expect(stream.verdicts.all).toHaveLength(2);
  expect(
    held
      .hashes()
      .map(({ id }) => id)
      .sort(),
  ).toEqual([...TWO.resources.keys()].sort());
});

test('after a break the hello names what is held, and a step from there goes on', async () => {
  const c = await controller();
  const { failures, deltas } = dataPlane([c.address]);
  const first = await c.streams.next();
  first.send(ONE.full());
  await first.verdicts.next();
  first.end();
  expect((await failures.next()).code).toBe('DP_CONTROLLER_UNREACHABLE');

  const second = await c.streams.next();
  expect(second.hello.revision).toBe(ONE.revision);
  expect(second.hello.held).toEqual(
    expect.arrayContaining([...ONE.resources.values()].map(({ id, hash }) => ({ id, hash }))),
  );
  second.send(TWO.since(ONE));
  expect(await second.verdicts.next()).toMatchObject({ revision: TWO.revision, accepted: true });
  expect(deltas.at(-1)?.removed).toEqual(['backend/shop/a']);
});

test('a delta from another base is answered as not accepted, and the whole snapshot after it is taken', async () => {
  const c = await controller();
  dataPlane([c.address]);
  const stream = await c.streams.next();
  stream.send(TWO.since(ONE));
  const verdict = await stream.verdicts.next();
  expect(verdict).toMatchObject({ revision: TWO.revision, accepted: false });
  expect(verdict.message).toContain('holds nothing');
  stream.send(TWO.full());
  expect(await stream.verdicts.next()).toMatchObject({ revision: TWO.revision, accepted: true });
});

test('a delta that does not lead to its revision is not accepted', async () => {
  const c = await controller();
  const { held } = dataPlane([c.address]);
  const stream = await c.streams.next();
  stream.send({ ...ONE.full(), revision: 'ffff' });
  expect(await stream.verdicts.next()).toMatchObject({ revision: 'ffff', accepted: false });
  expect(held.revision).toBe('');
});

test('when one controller goes the next one is asked', async () => {
  const one = await controller();
  const two = await controller();
  const { connections } = dataPlane([one.address, two.address]);
  await one.streams.next();
  one.stop();
  await two.streams.next();
  expect(connections.all).toEqual([one.address, two.address]);
});

test('a controller that starts later is found, also on a unix socket', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'dp-'));
  cleanups.push(() => rmSync(folder, { recursive: true }));
  const address = `unix:${folder}/c.sock`;
  const { failures, held } = dataPlane([address]);
  await failures.next();
  const c = await controller(address);
  const stream = await c.streams.next();
  stream.send(ONE.full());
  expect((await stream.verdicts.next()).accepted).toBe(true);
  expect(held.revision).toBe(ONE.revision);
});

test('a refusal ends the stream and says why', async () => {
  const c = await controller();
  const { failures } = dataPlane([c.address]);
  (await c.streams.next()).refuse('schema-version', 'speak version 7');
  const failure = await failures.next();
  expect(failure.code).toBe('DP_CONTROLLER_REFUSED');
  expect(failure.message).toContain('speak version 7 (schema-version)');
});

test('a delta that stops half-way breaks the stream', async () => {
  const c = await controller();
  const { failures } = dataPlane([c.address]);
  const stream = await c.streams.next();
  stream.send({ ...ONE.full(), last: false });
  stream.send(TWO.full());
  expect((await failures.next()).code).toBe('DP_PROTOCOL');
  expect((await c.streams.next()).hello.revision).toBe('');
});

test('load reports arrive, and none is kept while no stream is open', async () => {
  const c = await controller();
  const { stream } = dataPlane([c.address]);
  const load = {
    ready: true,
    draining: false,
    inFlight: 1,
    requestsTotal: 2,
    requestsPerSecond: 3,
    eventLoopUtilisation: 0.5,
    p99Ms: 4,
    revision: 'r',
    workers: 1,
  };
  stream.sendLoad(load);
  const seen = await c.streams.next();
  stream.sendLoad({ ...load, inFlight: 9 });
  expect(await seen.loads.next()).toEqual({ ...load, inFlight: 9 });
});

test('a share of global limits is taken before, between and behind deltas; what can not be one is for the supervisor', async () => {
  const c = await controller();
  const { shares } = dataPlane([c.address]);
  const stream = await c.streams.next();
  expect(stream.hello.share).toBeNull();
  stream.call.write({ message: 'share', share: { place: 0, dataPlanes: 1 } });
  stream.send(ONE.full());
  stream.call.write({ message: 'share', share: { place: 2, dataPlanes: 3 } });
  expect(await shares.next()).toEqual({ place: 0, dataPlanes: 1 });
  expect(await shares.next()).toEqual({ place: 2, dataPlanes: 3 });
  expect((await stream.verdicts.next()).revision).toBe(ONE.revision);
});
