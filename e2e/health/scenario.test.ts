/** Pods that fail their health checks, though Kubernetes takes them for ready: no request gets there, and `kubectl get backends` says so. */
import { beforeAll, expect, test } from 'vitest';
import type { Cluster } from '../cluster/cluster.ts';
import { until } from '../cluster/process.ts';
import {
  condition,
  curl,
  echo,
  gatewayUrl,
  installedCluster,
  type PodObject,
  route,
  tidegateStatus,
} from '../harness/installation.ts';
import { startLoad } from '../harness/load.ts';

const NAMESPACE = 'health';
const HOST = 'health.example.com';

let cluster: Cluster;
let url: string;
let pods: { name: string; address: string }[];

beforeAll(async () => {
  cluster = await installedCluster();
  await echo(cluster, NAMESPACE, 'echo', 2);
  const active = { http: { path: '/healthz' }, interval: '500ms', unhealthyThreshold: 2, healthyThreshold: 2 };
  await cluster.apply([
    {
      apiVersion: 'tidegate.dev/v1alpha1',
      kind: 'Backend',
      metadata: { name: 'echo', namespace: NAMESPACE },
      spec: { service: { name: 'echo', port: 8080 }, health: { active } },
    },
    route(NAMESPACE, 'echo', HOST),
  ]);
  await condition(cluster, NAMESPACE, 'route/echo');
  url = await gatewayUrl(cluster);
  const { items } = await cluster.get<{ items: PodObject[] }>(['pods', '-n', NAMESPACE]);
  pods = items.map(({ metadata, status }) => ({ name: metadata.name, address: status.podIP ?? '' }));
});

/** As a user sees it. */
async function column(): Promise<string> {
  const table = await cluster.kubectl(['get', 'backends', '-n', NAMESPACE]);
  const [head = '', row = ''] = table.split('\n');
  const at = head.split(/ {2,}/).indexOf('ENDPOINTS');
  return row.split(/ {2,}/)[at] ?? '';
}

const shows = (endpoints: string) =>
  until(`${endpoints} endpoints`, async () => (await column()) === endpoints, 30_000, 200);
const tell = async (pod: { address: string }, what: 'sicken' | 'recover'): Promise<void> => {
  expect((await curl(cluster, `http://${pod.address}:8080/${what}`)).status).toBe(200);
};
const load = (maxMs: number) =>
  startLoad({ url: `${url}/`, headers: { host: HOST }, concurrency: 4, pauseMs: 10, maxMs });

test('one of two fails: 1/2, the other serves all, no request is lost; and back', async () => {
  const [sick, well] = pods as [(typeof pods)[0], (typeof pods)[0]];
  await shows('2/2');
  const whole = load(120_000);
  await tell(sick, 'sicken');
  const toldAtMs = performance.now();
  await shows('1/2');
  const afterMs = Math.round(performance.now() - toldAtMs);
  const status = JSON.parse(await tidegateStatus(cluster, 'json')) as { backends: unknown[] };
  expect(status.backends).toEqual([
    { namespace: NAMESPACE, name: 'echo', healthy: 1, all: 2, blocked: [`${sick.address}:8080`] },
  ]);
  const meanwhile = load(10_000);
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  expect([...(await meanwhile.stop()).byPod.keys()]).toEqual([well.name]);
  await tell(sick, 'recover');
  await shows('2/2');
  const { sent, failures, byPod } = await whole.stop();
  console.log(
    `health: 1/2 after ${afterMs} ms; ${sent} requests, ${failures.length} failed, ${byPod.size} pods answered`,
  );
  expect(failures).toEqual([]);
  expect(byPod.size).toBe(2);
});

test('where all fail it is 0/2 and an Event, and requests go to all of them: below panicPercent health counts no more', async () => {
  for (const pod of pods) await tell(pod, 'sicken');
  await shows('0/2');
  const meanwhile = load(10_000);
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  const { failures, byPod } = await meanwhile.stop();
  expect(failures).toEqual([]);
  expect(byPod.size).toBe(2);
  const reasons = async () => {
    const { items } = await cluster.get<{ items: { reason: string; regarding: { kind: string; name: string } }[] }>([
      'events.events.k8s.io',
      '-n',
      NAMESPACE,
    ]);
    return items.filter(({ regarding }) => regarding.kind === 'Backend').map(({ reason }) => reason);
  };
  await until('an Event', async () => (await reasons()).includes('NoHealthyEndpoint'), 10_000, 200);
  for (const pod of pods) await tell(pod, 'recover');
  await shows('2/2');
});
