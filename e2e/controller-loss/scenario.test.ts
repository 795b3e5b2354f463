/** A controller pod is deleted, then both: traffic goes on, and changes are live again as soon as one is back. */
import { beforeAll, expect, test } from 'vitest';
import type { Cluster } from '../cluster/cluster.ts';
import { until } from '../cluster/process.ts';
import { condition, curl, installedCluster, NAMESPACE, podsOf, route, serveEcho } from '../harness/installation.ts';
import { startLoad } from '../harness/load.ts';

const namespace = 'loss';
let cluster: Cluster;
let url: string;

const status = async (host: string): Promise<number> => (await curl(cluster, `${url}/`, '-H', `Host: ${host}`)).status;

beforeAll(async () => {
  cluster = await installedCluster();
  url = await serveEcho(cluster, namespace, 1, 'loss.example.com');
});

test('traffic and changes survive the loss of the leading controller; without any controller traffic goes on', async () => {
  const load = startLoad({
    url: `${url}/`,
    headers: { host: 'loss.example.com' },
    concurrency: 4,
    pauseMs: 10,
    maxMs: 120_000,
  });

  const lease = await cluster.get<{ spec: { holderIdentity: string } }>([
    'lease',
    '-n',
    NAMESPACE,
    'tidegate-controller',
  ]);
  const leader = (await podsOf(cluster, 'controller')).find((pod) =>
    lease.spec.holderIdentity.startsWith(pod.metadata.name),
  );
  expect(leader).toBeDefined();
  await cluster.kubectl(['delete', 'pod', '-n', NAMESPACE, leader?.metadata.name ?? '', '--wait=false']);
  await cluster.apply(route(namespace, 'second', 'second.example.com'));
  await until('a change made meanwhile is live', async () => (await status('second.example.com')) === 200, 20_000, 50);
  await condition(cluster, namespace, 'route/second');

  await cluster.kubectl(['scale', '-n', NAMESPACE, 'deployment/tidegate-controller', '--replicas=0']);
  await until('no controller', async () => (await podsOf(cluster, 'controller')).length === 0, 40_000);
  const before = load.sent();
  await until('traffic without a controller', () => load.sent() > before + 50, 20_000);
  await cluster.kubectl(['scale', '-n', NAMESPACE, 'deployment/tidegate-controller', '--replicas=2']);
  await cluster.kubectl(['rollout', 'status', '-n', NAMESPACE, 'deployment/tidegate-controller', '--timeout=60s'], {
    timeoutMs: 70_000,
  });
  await cluster.apply(route(namespace, 'third', 'third.example.com'));
  await until('a change after the return is live', async () => (await status('third.example.com')) === 200, 30_000, 50);

  const result = await load.stop();
  console.log(`controller-loss: ${result.sent} requests, ${result.failed} failed`);
  expect(result.failures).toEqual([]);
});
