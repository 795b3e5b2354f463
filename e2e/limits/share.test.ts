/**
 * One global limit without a store: the real controller and one to three real data planes of two workers each, over real streams. Windows are so
 * long that none ends while this runs; each step asks with keys of its own.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Daemon, startDaemon, stopDaemon, until } from '../cluster/process.ts';
import { freePorts } from '../controller/control-plane.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');
const LIMIT = 30;
const RESOURCES = `
apiVersion: tidegate.dev/v1alpha1
kind: Policy
metadata: { name: shared, namespace: shop }
spec:
  targetRefs: [{ kind: Route, name: orders }]
  rateLimit:
    limits:
      - { name: all, algorithm: fixedWindow, limit: ${LIMIT}, window: 744h, scope: global, key: [{ by: header, name: x-key }] }
---
apiVersion: tidegate.dev/v1alpha1
kind: Policy
metadata: { name: bucket, namespace: shop }
spec:
  targetRefs: [{ kind: Route, name: orders, sectionName: bucket }]
  rateLimit:
    limits:
      - { name: bucket, limit: 40, window: 1s, burst: 10, scope: global, key: [{ by: header, name: x-key }] }
---
apiVersion: tidegate.dev/v1alpha1
kind: Route
metadata: { name: orders, namespace: shop }
spec:
  rules:
    - { name: all, respond: { status: 200 } }
    - { name: bucket, matches: [{ path: { prefix: /bucket } }], respond: { status: 200 } }
`;

interface Plane {
  readonly name: string;
  readonly daemon: Daemon;
  readonly port: number;
  readonly adminPort: number;
}

let folder = '';
let controller: Daemon | null = null;
const planes = new Map<string, Plane>();

beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'share-'));
  mkdirSync(path.join(folder, 'resources'));
  writeFileSync(path.join(folder, 'resources/all.yaml'), RESOURCES);
  controller = await startController();
});

afterAll(async () => {
  await Promise.all(
    [...(controller === null ? [] : [controller]), ...[...planes.values()].map(({ daemon }) => daemon)].map((one) =>
      stopDaemon(one, 10_000),
    ),
  );
  rmSync(folder, { recursive: true, force: true });
});

function program(name: string, file: string, env: Record<string, string>): Daemon {
  const argv = [process.execPath, '--conditions=source', path.join(ROOT, file)];
  return startDaemon(name, argv, path.join(folder, `${name}.log`), { PATH: process.env.PATH, ...env });
}

async function startController(): Promise<Daemon> {
  const [adminPort = 0] = await freePorts(1);
  const daemon = program('controller', 'controller/main.ts', {
    TIDEGATE_SOURCE: 'files',
    TIDEGATE_DIR: path.join(folder, 'resources'),
    TIDEGATE_LISTEN: `unix:${folder}/push.sock`,
    TIDEGATE_ADMIN_PORT: String(adminPort),
  });
  await until('the controller is ready', async () => (await get(adminPort, '/readyz')).ok, 20_000, 50);
  return daemon;
}

async function stopController(): Promise<void> {
  if (controller !== null) await stopDaemon(controller, 10_000);
  controller = null;
}

async function startPlane(name: string): Promise<Plane> {
  const [port = 0, adminPort = 0] = await freePorts(2);
  const state = path.join(folder, `state-${name}`);
  mkdirSync(state, { recursive: true });
  const daemon = program(name, 'dataplane/main.ts', {
    TIDEGATE_CONTROLLER: `unix:${folder}/push.sock`,
    TIDEGATE_NODE_NAME: name,
    TIDEGATE_HOST: '127.0.0.1',
    TIDEGATE_HTTP_PORT: String(port),
    TIDEGATE_ADMIN_PORT: String(adminPort),
    TIDEGATE_WORKERS: '2',
    TIDEGATE_STATE_DIR: state,
    TIDEGATE_ACCESS_LOG: 'off',
    TIDEGATE_DRAIN_GRACE_MS: '0',
  });
  const plane = { name, daemon, port, adminPort };
  planes.set(name, plane);
  await until(`${name} is ready`, async () => (await get(adminPort, '/readyz')).ok, 20_000, 50);
  return plane;
}

async function stopPlane(name: string): Promise<void> {
  const plane = planes.get(name);
  planes.delete(name);
  if (plane !== undefined) await stopDaemon(plane.daemon, 10_000);
}

function get(port: number, at: string, key = ''): Promise<Response> {
  const headers = { connection: 'close', 'x-key': key };
  return fetch(`http://127.0.0.1:${port}${at}`, { headers, signal: AbortSignal.timeout(5_000) });
}

/** `of` of each data plane, by what its own page says. */
async function sharedBy(of: number): Promise<void> {
  const share = async ({ adminPort }: Plane) =>
    ((await (await get(adminPort, '/debug/config')).json()) as { limitShare: { place: number; of: number } })
      .limitShare;
  await until(
    `global limits are shared by ${of}`,
    async () => {
      const shares = await Promise.all([...planes.values()].map(share));
      const places = new Set(shares.map(({ place }) => place));
      return shares.every((one) => one.of === of) && places.size === planes.size;
    },
    15_000,
    20,
  );
}

/** How many of so many requests of a key each data plane admits, by name; asked a few at a time. */
async function admitted(key: string, requests: number): Promise<number[]> {
  return await Promise.all(
    [...planes.values()].map(async ({ port }) => {
      let ok = 0;
      for (let i = 0; i < requests; i += 5) {
        const answers = await Promise.all(Array.from({ length: 5 }, () => get(port, '/', key)));
        for (const { status } of answers) {
          if (status === 200) ok++;
          else expect(status).toBe(429);
        }
      }
      return ok;
    }),
  );
}

const sum = (counts: readonly number[]): number => counts.reduce((total, one) => total + one, 0);

test('one data plane has the whole limit, whatever worker a connection lands on', async () => {
  await startPlane('a');
  await sharedBy(1);
  expect(await admitted('one', LIMIT + 20)).toEqual([LIMIT]);
});

test('three have a third each: together exactly the limit', async () => {
  await Promise.all([startPlane('b'), startPlane('c')]);
  await sharedBy(3);
  expect(await admitted('three', LIMIT)).toEqual([LIMIT / 3, LIMIT / 3, LIMIT / 3]);
  // What was spent before stays spent: only those that joined have their share of it.
  expect(await admitted('one', LIMIT)).toEqual([0, LIMIT / 3, LIMIT / 3]);
});

test('a token bucket of three: burst, one request each, and limit × t', async () => {
  const startedAt = performance.now();
  const counts = await Promise.all(
    [...planes.values()].map(async ({ port }) => {
      let ok = 0;
      while (performance.now() - startedAt < 3_000) if ((await get(port, '/bucket', 'x')).status === 200) ok++;
      return ok;
    }),
  );
  const seconds = (performance.now() - startedAt) / 1_000;
  expect(sum(counts)).toBeLessThanOrEqual(10 + 3 + 40 * seconds);
  for (const count of counts) expect(count).toBeGreaterThan(0);
});

test('two after one has drained: half each', async () => {
  await stopPlane('b');
  await sharedBy(2);
  expect(await admitted('two', LIMIT)).toEqual([LIMIT / 2, LIMIT / 2]);
});

test('one joins under load: over by no more than its own share', async () => {
  const joining = startPlane('d');
  let before = 0;
  let joined = false;
  void joining.then(() => {
    joined = true;
  });
  const old = [...planes.values()].filter(({ name }) => name !== 'd');
  while (!joined) {
    const answers = await Promise.all(old.map(({ port }) => get(port, '/', 'join')));
    before += answers.filter(({ status }) => status === 200).length;
  }
  await sharedBy(3);
  const after = sum(await admitted('join', LIMIT));
  expect(before + after).toBeGreaterThanOrEqual(LIMIT);
  expect(before + after).toBeLessThanOrEqual(LIMIT + LIMIT / 3);
  expect(sum(await admitted('joined', LIMIT))).toBe(LIMIT);
});

test('a controller that starts again gives nobody more meanwhile', async () => {
  await stopController();
  expect(sum(await admitted('no controller', LIMIT))).toBe(LIMIT);
  controller = await startController();
  for (let i = 0; i < 20; i++) {
    expect(sum(await admitted(`again ${i}`, LIMIT))).toBeLessThanOrEqual(LIMIT);
  }
  await sharedBy(3);
  expect(sum(await admitted('again', LIMIT))).toBe(LIMIT);
});

test('a data plane that starts without a controller goes by the share it had', async () => {
  await stopController();
  await stopPlane('d');
  await startPlane('d');
  expect(sum(await admitted('last good', LIMIT))).toBe(LIMIT);
});
