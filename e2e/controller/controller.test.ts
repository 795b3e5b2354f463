/** The controller against a real API server: sources, status, Events, leading, peers, and what happens when parts go away. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { stopDaemon, until } from '../cluster/process.ts';
import { ControlPlane, freePorts } from './control-plane.ts';
import {
  type Certificates,
  type ControllerProcess,
  createCertificates,
  type DataPlaneProcess,
  metricOf,
  NAMESPACE,
  ScriptedDataPlane,
  startControllerProcess,
  startDataPlaneProcess,
  statusOf,
} from './programs.ts';

interface Condition {
  type: string;
  status: string;
  reason: string;
  message: string;
  observedGeneration: number;
  lastTransitionTime: string;
}

interface StatusObject {
  metadata: { generation: number; resourceVersion: string };
  status?: { conditions?: Condition[]; reason?: string; endpoints?: string };
}

let plane: ControlPlane;
let certificates: Certificates;
let one: ControllerProcess;
let two: ControllerProcess;
let proxy: DataPlaneProcess;
const restart: Record<string, () => Promise<ControllerProcess>> = {};

beforeAll(async () => {
  plane = await ControlPlane.start();
  for (const name of [NAMESPACE, 'shop']) await plane.kubectl(['create', 'namespace', name]);
  certificates = await createCertificates(plane);
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = await freePorts(6);
  const peers = [`127.0.0.1:${a}`, `127.0.0.1:${d}`];
  restart.one = () => startControllerProcess({ replica: 'one', plane, certificates, peers, ports: [a, b, c] });
  restart.two = () => startControllerProcess({ replica: 'two', plane, certificates, peers, ports: [d, e, f] });
  one = await restart.one();
  two = await restart.two();
  proxy = await startDataPlaneProcess(plane, certificates, 'proxy', [one, two]);
});

afterAll(async () => {
  for (const program of [proxy, one, two]) if (program !== undefined) await stopDaemon(program.daemon, 10_000);
  await plane?.stop();
});

function route(name: string, spec: object): object {
  return { apiVersion: 'tidegate.dev/v1alpha1', kind: 'Route', metadata: { name, namespace: 'shop' }, spec };
}

function answering(name: string, body: string): object {
  return route(name, {
    rules: [{ name: 'main', matches: [{ path: { prefix: `/${name}` } }], respond: { status: 200, body } }],
  });
}

function condition(object: StatusObject, type: string): Condition | undefined {
  return object.status?.conditions?.find((one) => one.type === type);
}

async function routeStatus(name: string): Promise<StatusObject> {
  return await plane.get<StatusObject>('route', '-n', 'shop', name);
}

async function untilProgrammed(name: string, status: 'True' | 'False', reason: string): Promise<StatusObject> {
  let object: StatusObject | undefined;
  await until(
    `route ${name} is Programmed=${status} ${reason}`,
    async () => {
      object = await routeStatus(name);
      const programmed = condition(object, 'Programmed');
      return (
        programmed?.status === status &&
        programmed.reason === reason &&
        programmed.observedGeneration === object.metadata.generation
      );
    },
    20_000,
    100,
  );
  return object as StatusObject;
}

async function get(at: string): Promise<[number, string]> {
  const answer = await fetch(`http://127.0.0.1:${proxy.httpPort}${at}`);
  return [answer.status, await answer.text()];
}

async function leader(): Promise<[leader: ControllerProcess, other: ControllerProcess]> {
  let found: [ControllerProcess, ControllerProcess] | null = null;
  await until(
    'exactly one replica leads',
    async () => {
      const leaders = await Promise.all([one, two].map((replica) => metricOf(replica, 'tidegate_controller_leader')));
      if (leaders[0] === 1 && leaders[1] === 0) found = [one, two];
      if (leaders[0] === 0 && leaders[1] === 1) found = [two, one];
      return found !== null;
    },
    20_000,
    100,
  );
  return found as unknown as [ControllerProcess, ControllerProcess];
}

test('a Route is served and says so; both replicas tell the same of the whole fleet', async () => {
  await plane.apply(answering('hello', 'hi'));
  const object = await untilProgrammed('hello', 'True', 'Programmed');
  expect(object.status?.conditions?.map(({ type, status }) => [type, status])).toEqual([
    ['Accepted', 'True'],
    ['ResolvedRefs', 'True'],
    ['Programmed', 'True'],
  ]);
  expect(await get('/hello')).toEqual([200, 'hi']);
  await leader();
  const views = await Promise.all([statusOf(one), statusOf(two)]);
  for (const view of views) {
    expect(view.controllers.map(({ replica }) => replica)).toEqual(['one', 'two']);
    expect(new Set(view.controllers.map(({ revision }) => revision)).size).toBe(1);
    expect(view.dataPlanes.map(({ node, ready, behind }) => ({ node, ready, behind }))).toEqual([
      { node: 'proxy', ready: true, behind: 0 },
    ]);
  }
  expect(views[0]?.dataPlanes[0]?.controller).toBe(views[1]?.dataPlanes[0]?.controller);
});

test('a change is one write; scaling and changes of others write nothing', async () => {
  await plane.apply(answering('quiet', 'one'));
  await untilProgrammed('quiet', 'True', 'Programmed');
  const [leading] = await leader();
  const writes = 'tidegate_controller_status_writes_total{result="written"}';
  // A write is counted when the API server has answered, a moment after the object shows it.
  await sleep(500);
  const before = await metricOf(leading, writes);
  await plane.apply(answering('quiet', 'two'));
  await untilProgrammed('quiet', 'True', 'Programmed');
  await until('served', async () => (await get('/quiet'))[1] === 'two', 5_000, 20);
  await until('the write is counted', async () => (await metricOf(leading, writes)) > before, 5_000, 20);
  await sleep(500);
  expect((await metricOf(leading, writes)) - before).toBe(1);
  const { resourceVersion } = (await routeStatus('quiet')).metadata;
  const extra = new ScriptedDataPlane(two, certificates, 'extra', () => ({}));
  await until('the new data plane counts', async () => (await statusOf(leading)).dataPlanes.length === 2, 5_000, 50);
  await plane.apply(answering('other', 'x'));
  await untilProgrammed('other', 'True', 'Programmed');
  extra.close();
  await until('it is gone', async () => (await statusOf(leading)).dataPlanes.length === 1, 10_000, 50);
  await plane.kubectl(['delete', 'route', '-n', 'shop', 'other']);
  await until('the other Route is gone', async () => (await get('/other'))[0] === 404, 5_000, 20);
  expect((await routeStatus('quiet')).metadata.resourceVersion).toBe(resourceVersion);
});

test('what a data plane rejects is told on the Route alone, with an Event, and taken back', async () => {
  await plane.apply(answering('fine', 'x'), answering('odd', 'x'));
  await untilProgrammed('odd', 'True', 'Programmed');
  const id = 'rule/shop/odd/main';
  const [, other] = await leader();
  const picky = new ScriptedDataPlane(other, certificates, 'picky', (hashes) => {
    const hash = hashes.get(id);
    return hash === undefined ? {} : { rejected: [{ id, hash, message: 'this build knows no such thing' }] };
  });
  const object = await untilProgrammed('odd', 'False', 'Rejected');
  expect(condition(object, 'Programmed')?.message).toBe(`${id}: this build knows no such thing`);
  expect(object.status?.reason).toBe('Rejected');
  expect(condition(await routeStatus('fine'), 'Programmed')?.status).toBe('True');
  await until(
    'an Event tells it',
    async () => {
      const { items } = await plane.get<{ items: { reason: string; note: string; regarding: { name: string } }[] }>(
        'events.events.k8s.io',
        '-n',
        'shop',
      );
      return items.some(
        (event) =>
          event.regarding.name === 'odd' && event.reason === 'Rejected' && event.note.includes('no such thing'),
      );
    },
    5_000,
    100,
  );
  picky.close();
  await untilProgrammed('odd', 'True', 'Programmed');
});

test('endpoints that a data plane of the other replica keeps away from are no longer counted; flapping is written seldom', async () => {
  const hosts = ['10.9.0.1', '10.9.0.2', '10.9.0.3'].map((address) => ({ address, port: 80 }));
  const metadata = { name: 'flappy', namespace: 'shop' };
  await plane.apply({ apiVersion: 'tidegate.dev/v1alpha1', kind: 'Backend', metadata, spec: { hosts } });
  const column = async () => (await plane.get<StatusObject>('backend', '-n', 'shop', 'flappy')).status?.endpoints;
  const shows = (text: string) => until(`${text} endpoints`, async () => (await column()) === text, 10_000, 50);
  await shows('3/3');
  const [leading, other] = await leader();
  const wary = new ScriptedDataPlane(other, certificates, 'wary', () => ({}));
  const say = (...blocked: string[]) =>
    wary.health({ whole: true, backends: [{ backend: 'backend/shop/flappy', blocked, endpoints: 0 }] });
  await until('it counts', async () => (await statusOf(leading)).dataPlanes.length === 2, 5_000, 50);
  say('10.9.0.1:80');
  await shows('2/3');
  const writes = 'tidegate_controller_status_writes_total{result="written"}';
  const [before, sinceMs] = [await metricOf(leading, writes), performance.now()];
  for (let i = 0; i < 60; i++) {
    say(...(i % 2 === 0 ? [] : ['10.9.0.1:80', '10.9.0.2:80']));
    await sleep(50);
  }
  await shows('1/3');
  const written = (await metricOf(leading, writes)) - before;
  expect(written).toBeLessThanOrEqual(Math.ceil((performance.now() - sinceMs) / 1_000) + 1);
  // Whoever is gone says nothing any more.
  wary.close();
  await shows('3/3');
  await plane.kubectl(['delete', 'backend', '-n', 'shop', 'flappy']);
});

test('a missing reference is told, and resolved when it comes; endpoints are counted', async () => {
  await plane.apply(
    route('shop', {
      rules: [{ name: 'main', matches: [{ path: { prefix: '/shop' } }], backends: [{ name: 'shop' }] }],
    }),
  );
  await until(
    'the reason is shown',
    async () => (await routeStatus('shop')).status?.reason === 'BackendNotFound',
    5_000,
    50,
  );
  expect((await get('/shop'))[0]).toBe(500);
  const slice = (addresses: [string, boolean][]) => ({
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: 'shop-1', namespace: 'shop', labels: { 'kubernetes.io/service-name': 'shop' } },
    addressType: 'IPv4',
    ports: [{ name: 'http', port: 8080 }],
    endpoints: addresses.map(([address, ready]) => ({ addresses: [address], conditions: { ready } })),
  });
  await plane.apply(
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'shop', namespace: 'shop' },
      spec: { ports: [{ name: 'http', port: 80, targetPort: 8080 }] },
    },
    slice([['10.0.0.1', true]]),
    {
      apiVersion: 'tidegate.dev/v1alpha1',
      kind: 'Backend',
      metadata: { name: 'shop', namespace: 'shop' },
      spec: { service: { name: 'shop', port: 80 } },
    },
  );
  await until('the reference resolves', async () => (await routeStatus('shop')).status?.reason === '', 5_000, 50);
  const endpoints = async () => (await plane.get<StatusObject>('backend', '-n', 'shop', 'shop')).status?.endpoints;
  await until('one endpoint', async () => (await endpoints()) === '1/1', 5_000, 50);
  await plane.apply(
    slice([
      ['10.0.0.1', true],
      ['10.0.0.2', false],
    ]),
  );
  await until('one of two', async () => (await endpoints()) === '1/2', 5_000, 50);
});

test('a leader that stops hands over at once; one that dies is replaced when its Lease runs out', async () => {
  const [first, second] = await leader();
  await stopDaemon(first.daemon, 10_000);
  await until('the other leads', async () => (await metricOf(second, 'tidegate_controller_leader')) === 1, 2_500, 50);
  await plane.apply(answering('handed-over', 'x'));
  await untilProgrammed('handed-over', 'True', 'Programmed');
  const again = await restart[first.replica]?.();
  if (again === undefined) throw new Error('no such replica');
  if (first.replica === 'one') one = again;
  else two = again;
  await stopDaemon(second.daemon, 0);
  await until(
    'the first leads again',
    async () => (await metricOf(again, 'tidegate_controller_leader')) === 1,
    10_000,
    100,
  );
  await plane.apply(answering('taken-over', 'x'));
  await untilProgrammed('taken-over', 'True', 'Programmed');
  expect(await get('/taken-over')).toEqual([200, 'x']);
  const back = await restart[second.replica]?.();
  if (back === undefined) throw new Error('no such replica');
  if (second.replica === 'one') one = back;
  else two = back;
});

test('without an API server all goes on; what was deleted meanwhile, and compacted away, is found by a new list', async () => {
  await plane.apply(answering('forgotten', 'x'));
  await untilProgrammed('forgotten', 'True', 'Programmed');
  let late: DataPlaneProcess | undefined;
  await plane.cutOff(async () => {
    await plane.kubectl(['delete', 'route', '-n', 'shop', 'forgotten']);
    await plane.apply(answering('meanwhile', 'y'));
    await plane.compactAndRestart();
    // Replicas that hear nothing of the API server still serve their data planes, a new one among them.
    late = await startDataPlaneProcess(plane, certificates, 'late', [one, two]);
    expect((await fetch(`http://127.0.0.1:${late.httpPort}/forgotten`)).status).toBe(200);
    expect(await get('/forgotten')).toEqual([200, 'x']);
  });
  await until('the new Route is served', async () => (await get('/meanwhile'))[1] === 'y', 30_000, 100);
  await until('the old one is not', async () => (await get('/forgotten'))[0] === 404, 5_000, 50);
  await untilProgrammed('meanwhile', 'True', 'Programmed');
  if (late !== undefined) await stopDaemon(late.daemon, 10_000);
  // The one that pushes to nobody may still be waiting for its next try.
  const expired = () =>
    Promise.all(
      [one, two].map((replica) =>
        metricOf(replica, 'tidegate_controller_watch_restarts_total{kind="Route",reason="expired"}'),
      ),
    );
  await until('both have listed anew', async () => (await expired()).every((count) => count >= 1), 15_000, 100);
  expect(await expired()).toEqual([1, 1]);
});

test('hundreds of Routes at once are few pushes, and all are told', async () => {
  const [leading] = await leader();
  const holder = (await statusOf(leading)).dataPlanes[0]?.controller === 'one' ? one : two;
  const pushes = () => metricOf(holder, 'tidegate_controller_pushes_total{form="delta",resent="false"}');
  const before = await pushes();
  const names = Array.from({ length: 300 }, (_, i) => `many-${i}`);
  await plane.apply(...names.map((name) => answering(name, name)));
  await untilProgrammed('many-299', 'True', 'Programmed');
  await until(
    'all are told',
    async () => {
      const { items } = await plane.get<{ items: StatusObject[] }>('routes', '-n', 'shop');
      return items.every((object) => condition(object, 'Programmed')?.status === 'True');
    },
    20_000,
    250,
  );
  expect(await get('/many-123')).toEqual([200, 'many-123']);
  expect((await pushes()) - before).toBeLessThanOrEqual(300);
  expect(await metricOf(leading, 'tidegate_controller_status_writes_total{result="failed"}')).toBeNaN();
});
