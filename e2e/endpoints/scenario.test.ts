/** A backend is scaled up, down and rolled under load: endpoints follow and no request fails. */
import { beforeAll, expect, test } from 'vitest';
import type { Cluster } from '../cluster/cluster.ts';
import { until } from '../cluster/process.ts';
import { installedCluster, serveEcho } from '../harness/installation.ts';
import { startLoad } from '../harness/load.ts';

let cluster: Cluster;
let url: string;
const endpoints = () =>
  cluster.kubectl(['get', '-n', 'endpoints', 'backend/echo', '-o', 'jsonpath={.status.endpoints}']);

beforeAll(async () => {
  cluster = await installedCluster();
  url = await serveEcho(cluster, 'endpoints', 1, 'endpoints.example.com');
});

test('scaling 1 → 4 → 2 and a rolling update fail no request', async () => {
  const load = startLoad({
    url: `${url}/`,
    headers: { host: 'endpoints.example.com' },
    concurrency: 8,
    pauseMs: 10,
    maxMs: 120_000,
  });
  const scale = async (replicas: number): Promise<void> => {
    await cluster.kubectl(['scale', '-n', 'endpoints', 'deployment/echo', `--replicas=${replicas}`]);
    await until(`${replicas} endpoints`, async () => (await endpoints()) === `${replicas}/${replicas}`, 40_000);
  };
  await scale(4);
  await scale(2);
  await cluster.kubectl(['rollout', 'restart', '-n', 'endpoints', 'deployment/echo']);
  await cluster.kubectl(['rollout', 'status', '-n', 'endpoints', 'deployment/echo', '--timeout=60s'], {
    timeoutMs: 70_000,
  });
  await new Promise((resolve) => setTimeout(resolve, 3000));
  const result = await load.stop();
  console.log(`endpoints: ${result.sent} requests, ${result.failed} failed, ${result.byPod.size} pods answered`);
  expect(result.failures).toEqual([]);
  expect(result.failed).toBe(0);
  expect(result.byPod.size).toBeGreaterThanOrEqual(6);
});
