/** The data plane is rolled under load: not one failed request. */
import { beforeAll, expect, test } from 'vitest';
import type { Cluster } from '../cluster/cluster.ts';
import { installedCluster, NAMESPACE, podsOf, serveEcho } from '../harness/installation.ts';
import { startLoad } from '../harness/load.ts';

let cluster: Cluster;
let url: string;

beforeAll(async () => {
  cluster = await installedCluster();
  url = await serveEcho(cluster, 'rolling', 2, 'rolling.example.com');
});

test('a rolling restart of the data plane loses no request, short or slow', async () => {
  const headers = { host: 'rolling.example.com' };
  const short = startLoad({ url: `${url}/`, headers, concurrency: 8, pauseMs: 5, maxMs: 150_000 });
  const slow = startLoad({ url: `${url}/?delay=1500`, headers, concurrency: 2, maxMs: 150_000 });
  const old = new Set((await podsOf(cluster, 'dataplane')).map((pod) => pod.metadata.name));

  await cluster.kubectl(['rollout', 'restart', '-n', NAMESPACE, 'deployment/tidegate-dataplane']);
  await cluster.kubectl(['rollout', 'status', '-n', NAMESPACE, 'deployment/tidegate-dataplane', '--timeout=120s'], {
    timeoutMs: 130_000,
  });
  await new Promise((resolve) => setTimeout(resolve, 8000));

  const [a, b] = await Promise.all([short.stop(), slow.stop()]);
  console.log(`rolling-update: ${a.sent} short and ${b.sent} slow requests, ${a.failed + b.failed} failed`);
  expect([...a.failures, ...b.failures]).toEqual([]);
  for (const pod of await podsOf(cluster, 'dataplane')) expect(old.has(pod.metadata.name)).toBe(false);
});
