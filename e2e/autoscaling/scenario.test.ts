/** Load rises, the real HPA controller reads our metrics API and adds pods, which serve; load falls, pods drain and go. */
import { beforeAll, expect, test } from 'vitest';
import type { Cluster } from '../cluster/cluster.ts';
import { until } from '../cluster/process.ts';
import { installedCluster, NAMESPACE, podsOf, serveEcho } from '../harness/installation.ts';
import { startLoad } from '../harness/load.ts';

const HOST = { host: 'scaling.example.com' };
let cluster: Cluster;
let gateway: string;

beforeAll(async () => {
  cluster = await installedCluster();
  gateway = await serveEcho(cluster, 'scaling', 2, HOST.host);
});

test('the metrics API is discovered and answers per pod', async () => {
  await cluster.kubectl(
    ['wait', '--for=condition=Available', 'apiservice/v1beta2.custom.metrics.k8s.io', '--timeout=30s'],
    {
      timeoutMs: 40_000,
    },
  );
  const path = `/apis/custom.metrics.k8s.io/v1beta2/namespaces/${NAMESPACE}/pods/*/tidegate_requests_in_flight`;
  const list = JSON.parse(await cluster.kubectl(['get', '--raw', path])) as {
    kind: string;
    items: { describedObject: { kind: string; name: string }; value: string }[];
  };
  expect(list.kind).toBe('MetricValueList');
  const pods = (await podsOf(cluster, 'dataplane')).map((pod) => pod.metadata.name).sort();
  expect(list.items.map(({ describedObject }) => describedObject.name).sort()).toEqual(pods);
});

test('load adds pods that serve, its end removes them, and no request fails', async () => {
  const url = `${gateway}/?delay=400`;
  const hpa = async (): Promise<string> => (await cluster.kubectl(['get', 'hpa', '-n', NAMESPACE])).trim();
  const base = startLoad({ url, headers: HOST, concurrency: 2, maxMs: 240_000 });
  await until('the HPA shows a figure', async () => !(await hpa()).includes('<unknown>'), 30_000);

  // 8 in flight a pod are wanted (values.yaml); about 40 are there.
  const peak = startLoad({ url, headers: HOST, concurrency: 40, maxMs: 120_000 });
  await until(
    'four pods serve',
    async () => {
      const ready = (await podsOf(cluster, 'dataplane')).filter((pod) =>
        pod.status.conditions?.some((c) => c.type === 'Ready' && c.status === 'True'),
      );
      return ready.length === 4;
    },
    90_000,
  );
  const atPeak = await hpa();
  // kube-proxy takes up to a second to know a new pod, and a kept connection stays where it is: ask on new ones.
  const more = startLoad({ url, headers: HOST, concurrency: 40, keepAlive: false, maxMs: 60_000 });
  const metrics = `/apis/custom.metrics.k8s.io/v1beta2/namespaces/${NAMESPACE}/pods/*/tidegate_requests_per_second`;
  await until(
    'all four pods serve',
    async () => {
      const { items } = JSON.parse(await cluster.kubectl(['get', '--raw', metrics])) as { items: { value: string }[] };
      return items.length === 4 && items.every(({ value }) => value !== '0');
    },
    20_000,
  );
  const [a, b] = await Promise.all([peak.stop(), more.stop()]);

  await until('two pods again', async () => (await podsOf(cluster, 'dataplane')).length === 2, 120_000);
  await new Promise((resolve) => setTimeout(resolve, 6000));
  const c = await base.stop();
  console.log(`autoscaling at the peak:\n${atPeak}\nafter it:\n${await hpa()}`);
  const failed = a.failed + b.failed + c.failed;
  console.log(`autoscaling: ${a.sent + b.sent + c.sent} requests, ${failed} failed`);
  expect([...a.failures, ...b.failures, ...c.failures]).toEqual([]);
});
