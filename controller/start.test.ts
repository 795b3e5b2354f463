import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pino } from 'pino';
import { afterEach, expect, test } from 'vitest';
import { readConfig } from './config.ts';
import { TestDataPlane, type TestOptions } from './push/test-data-plane.ts';
import { type RunningController, startController } from './start.ts';
import { eventually, quiet } from './test-api.ts';

const cleanUp: (() => unknown)[] = [];
afterEach(async () => {
  for (const undo of cleanUp.splice(0).reverse()) await undo();
});

type LogLine = Record<string, unknown>;

function folderWith(files: Record<string, string>): { folder: string; write: (file: string, text: string) => void } {
  const folder = mkdtempSync(path.join(tmpdir(), 'tidegate-start-'));
  cleanUp.push(() => rmSync(folder, { recursive: true, force: true }));
  const write = (file: string, text: string): void => writeFileSync(path.join(folder, file), text);
  for (const [file, text] of Object.entries(files)) write(file, text);
  return { folder, write };
}

async function start(
  folder: string,
  args: string[] = [],
): Promise<{ controller: RunningController; logs: LogLine[]; admin: string }> {
  const invocation = readConfig(
    [
      '--source',
      'files',
      '--dir',
      folder,
      '--listen',
      '127.0.0.1:0',
      '--insecure',
      'true',
      '--admin-port',
      '0',
      ...args,
    ],
    {},
  );
  if (invocation.kind !== 'run') throw new Error('help');
  const logs: LogLine[] = [];
  const log = pino({ level: 'info' }, { write: (line: string) => void logs.push(JSON.parse(line) as LogLine) });
  const controller = await startController({ config: invocation.config, log, env: {} });
  cleanUp.push(() => controller.stop());
  return { controller, logs, admin: `http://127.0.0.1:${controller.ports.admin}` };
}

function connect({ ports }: RunningController, node: string, options: TestOptions = {}): TestDataPlane {
  const plane = new TestDataPlane(`127.0.0.1:${ports.push}`, node, options);
  cleanUp.push(() => plane.close());
  return plane;
}

async function json<T>(url: string): Promise<T> {
  return (await (await fetch(url)).json()) as T;
}

function route(name: string, status = 200): string {
  return `apiVersion: tidegate.dev/v1alpha1
kind: Route
metadata: { name: ${name}, namespace: shop }
spec:
  rules:
    - name: main
      matches: [{ path: { prefix: /${name} } }]
      respond: { status: ${status}, body: ${name} }
`;
}

interface Shown {
  name: string;
  reason: string;
  conditions: { type: string; status: string; reason: string; message: string }[];
}

test('a saved file is live and told so with its time; a refused one changes nothing', async () => {
  const { folder, write } = folderWith({ 'a.yaml': route('a') });
  const { controller, logs, admin } = await start(folder);
  expect((await fetch(`${admin}/readyz`)).status).toBe(200);
  const plane = connect(controller, 'laptop');
  await plane.until((p) => p.held.size === 1, 'was served');
  plane.load();

  write('b.yaml', route('b'));
  await eventually(() => logs.some(({ event }) => event === 'applied'), 'applied');
  expect(logs.find(({ event }) => event === 'applied')).toMatchObject({
    file: 'b.yaml',
    changed: ['route shop/b added'],
    live: true,
    tookMs: expect.any(Number),
  });
  expect(plane.deltas.at(-1)).toMatchObject({ upsert: ['rule/shop/b/main'], removed: [] });

  const { revision } = plane;
  write('b.yaml', route('b', 99));
  await eventually(() => logs.some(({ event }) => event === 'refused'), 'refused');
  expect(logs.find(({ event }) => event === 'refused')).toMatchObject({
    file: 'b.yaml',
    problems: [{ object: 'shop/b', path: 'spec.rules[0].respond.status', message: expect.stringContaining('99') }],
  });
  expect(plane.revision).toBe(revision);
  expect(logs.map(({ event }) => event)).toEqual(expect.arrayContaining(['listening', 'dataplane']));
});

test('status and objects are shown; a rejection is told on the object', async () => {
  const { folder } = folderWith({ 'a.yaml': route('a'), 'b.yaml': route('b') });
  const { controller, admin } = await start(folder);
  const id = 'rule/shop/a/main';
  const plane = connect(controller, 'laptop', {
    answer: () => {
      const hash = controller.publisher.history.resources.get(id)?.hash ?? '';
      return { rejected: [{ id, hash, message: 'this build knows no such thing' }] };
    },
  });
  await plane.until((p) => p.held.size === 2, 'was served');
  plane.load({ inFlight: 3 });
  const objects = async (): Promise<Shown[]> => (await json<{ objects: Shown[] }>(`${admin}/api/v1/objects`)).objects;
  let shown: Shown[] = [];
  for (let i = 0; i < 100 && shown[1]?.reason !== ''; i++) {
    await quiet();
    shown = await objects();
  }
  expect(shown.map(({ name, reason }) => [name, reason])).toEqual([
    ['a', 'Rejected'],
    ['b', ''],
  ]);
  expect(shown[0]?.conditions.at(-1)).toEqual({
    type: 'Programmed',
    status: 'False',
    reason: 'Rejected',
    message: `${id}: this build knows no such thing`,
  });
  expect(await json(`${admin}/api/v1/status`)).toMatchObject({
    controllers: [{ leader: true, objects: 2, revision: plane.revision }],
    dataPlanes: [{ node: 'laptop', behind: 0, ready: true, load: { inFlight: 3 }, rejected: [{ id }] }],
  });
  expect(await json(`${admin}/api/v1/routes/shop/a/policies`)).toEqual({
    rules: [{ rule: 'main', sections: {}, backends: {} }],
  });
  expect(await json(`${admin}/api/v1/routes/shop/none/policies`)).toEqual({
    error: 'this installation serves no Route shop/none',
  });
  const metrics = await (await fetch(`${admin}/metrics`)).text();
  expect(metrics).toContain('tidegate_controller_verdicts_total{result="rejected-resources"} 1');
  expect(metrics).toContain('tidegate_controller_objects{kind="Route"} 2');
  expect(metrics).toContain('tidegate_controller_data_planes{state="rejecting"} 1');
});

test('what a data plane finds out later is told on the object, and its recovery too', async () => {
  const { folder } = folderWith({ 'a.yaml': route('a'), 'b.yaml': route('b') });
  const { controller, admin } = await start(folder);
  const plane = connect(controller, 'laptop');
  await plane.until((p) => p.held.size === 2, 'was served');
  plane.load();
  const reason = async (name: string) => {
    const { objects } = await json<{ objects: Shown[] }>(`${admin}/api/v1/objects`);
    return objects.find((one) => one.name === name)?.reason;
  };
  const becomes = async (name: string, wanted: string) => {
    for (let i = 0; i < 200 && (await reason(name)) !== wanted; i++) await quiet();
    expect(await reason(name)).toBe(wanted);
  };
  await becomes('a', '');
  const id = 'rule/shop/a/main';
  const hash = controller.publisher.history.resources.get(id)?.hash ?? '';
  plane.verdict({ rejected: [{ id, hash, message: 'its identity provider does not answer' }] });
  await becomes('a', 'Rejected');
  expect(await reason('b')).toBe('');
  plane.verdict({ rejected: [] });
  await becomes('a', '');
});

test('two replicas on the same folder agree: revision, fleet, and what a data plane that moves already holds', async () => {
  const { folder, write } = folderWith({ 'a.yaml': route('a'), 'b.yaml': route('b') });
  const one = await start(folder, ['--replica', 'one']);
  const two = await start(folder, ['--replica', 'two', '--peers', `127.0.0.1:${one.controller.ports.push}`]);
  const plane = connect(one.controller, 'laptop');
  await plane.until((p) => p.held.size === 2, 'was served');
  plane.load();
  await eventually(() => two.controller.fleet.members().some(({ ready }) => ready), 'heard');
  write('c.yaml', route('c'));
  await plane.until((p) => p.held.size === 3, 'got the third');
  await eventually(() => two.controller.publisher.history.revision === plane.revision, 'agreed');
  const view = ({ admin }: typeof one) =>
    json<{ dataPlanes: { revision: string; controller: string; behind: number }[] }>(`${admin}/api/v1/status`);
  let seen = await view(two);
  for (let i = 0; i < 100 && seen.dataPlanes[0]?.revision !== plane.revision; i++) {
    await quiet();
    seen = await view(two);
  }
  expect(seen.dataPlanes).toMatchObject([{ node: 'laptop', controller: 'one', behind: 0, ready: true }]);
  expect((await view(one)).dataPlanes).toMatchObject([{ node: 'laptop', controller: 'one', behind: 0, ready: true }]);
  // It moves: the other replica has nothing to send.
  const moved = connect(two.controller, 'laptop', { held: plane.held });
  moved.load();
  await eventually(
    () => [...two.controller.publisher.sessions()].some(({ ready, sequence }) => ready && sequence !== undefined),
    'moved',
  );
  expect(moved.deltas).toEqual([]);
});

test('a stop ends the streams, and leaves no listener', async () => {
  const { folder } = folderWith({ 'a.yaml': route('a') });
  const { controller, admin } = await start(folder);
  const plane = connect(controller, 'laptop');
  await plane.until((p) => p.held.size === 1, 'was served');
  await controller.stop();
  await plane.until((p) => p.error !== null, 'was told');
  await expect(fetch(`${admin}/healthz`)).rejects.toThrow();
});

test('a folder that is not there, and a port that is taken, are told', async () => {
  await expect(start('/nowhere/at/all')).rejects.toThrow(/nowhere/);
  const { folder } = folderWith({ 'a.yaml': route('a') });
  const { controller } = await start(folder);
  await expect(start(folder, ['--admin-port', String(controller.ports.admin)])).rejects.toMatchObject({
    code: 'CTL_LISTEN',
  });
  await expect(start(folder, ['--listen', `127.0.0.1:${controller.ports.push}`])).rejects.toMatchObject({
    code: 'CTL_LISTEN',
  });
});
