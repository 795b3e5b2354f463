/** How endpoints are found in a real cluster: headless Services, ExternalName, names and SRV records by CoreDNS; and how they go. */
import { beforeAll, expect, test } from 'vitest';
import type { Cluster } from '../cluster/cluster.ts';
import { until } from '../cluster/process.ts';
import { condition, curl, installedCluster, route, serveEcho } from '../harness/installation.ts';
import { startLoad } from '../harness/load.ts';

const NAMESPACE = 'discovery';
const DOMAIN = `${NAMESPACE}.svc.cluster.local`;

let cluster: Cluster;
let url: string;

const backendOf = (name: string, spec: object) => ({
  apiVersion: 'tidegate.dev/v1alpha1',
  kind: 'Backend',
  metadata: { name, namespace: NAMESPACE },
  spec,
});
const serviceOf = (name: string, spec: object) => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name, namespace: NAMESPACE },
  spec,
});
const hostOf = (name: string): string => `${name}.${NAMESPACE}.example.com`;
const served = (name: string, spec: object) => [
  backendOf(name, spec),
  route(NAMESPACE, name, hostOf(name), [{ name: 'all', backends: [{ name }] }]),
];

/** Pods that answer `count` requests. */
async function podsAnswering(name: string, count: number): Promise<number> {
  const pods = new Set<string>();
  for (let i = 0; i < count; i++) {
    const { status, body } = await curl(cluster, `${url}/`, '-H', `host: ${hostOf(name)}`);
    pods.add(status === 200 ? JSON.parse(body).pod : `${status}`);
  }
  return pods.size;
}

beforeAll(async () => {
  cluster = await installedCluster();
  url = await serveEcho(cluster, NAMESPACE, 2, hostOf('echo'));
  // DNS tells of a pod's end later than EndpointSlices do, so that pods have to stay a little longer.
  await cluster.kubectl(['set', 'env', '-n', NAMESPACE, 'deployment/echo', 'LINGER_MS=6000']);
  await cluster.kubectl(['rollout', 'status', '-n', NAMESPACE, 'deployment/echo', '--timeout=60s'], {
    timeoutMs: 70_000,
  });
  const ttls = { minTtl: '500ms', maxTtl: '1s' };
  await cluster.apply([
    serviceOf('headless', {
      clusterIP: 'None',
      selector: { app: 'echo' },
      ports: [{ name: 'http', port: 80, targetPort: 'http' }],
    }),
    serviceOf('outside', { type: 'ExternalName', externalName: `echo.${DOMAIN}` }),
    serviceOf('inside', { type: 'ExternalName', externalName: 'localhost' }),
    ...served('headless', { service: { name: 'headless', port: 'http' } }),
    ...served('external', { service: { name: 'outside', port: 8080 } }),
    ...served('by-name', { dns: { name: `headless.${DOMAIN}`, port: 8080, ...ttls } }),
    ...served('by-srv', { dns: { name: `_http._tcp.headless.${DOMAIN}`, records: 'srv', ...ttls } }),
    ...served('inside', { service: { name: 'inside', port: 9090 } }),
  ]);
  for (const name of ['headless', 'external', 'by-name', 'by-srv'])
    await condition(cluster, NAMESPACE, `route/${name}`);
});

test('a headless Service, an ExternalName, a name and SRV records lead to the same pods', async () => {
  for (const name of ['headless', 'by-name', 'by-srv']) {
    await until(`two pods by ${name}`, async () => (await podsAnswering(name, 8)) === 2, 30_000);
  }
  const { status } = await curl(cluster, `${url}/`, '-H', `host: ${hostOf('external')}`);
  expect(status).toBe(200);
});

test('an ExternalName does not lead to the data plane itself', async () => {
  const { reason, message } = await condition(cluster, NAMESPACE, 'backend/inside', 'Accepted', 'False');
  expect(reason).toBe('NotAllowed');
  expect(message).toContain('spec.service.name: Service inside has externalName localhost');
  const { status, body } = await curl(cluster, `${url}/`, '-H', `host: ${hostOf('inside')}`);
  expect([status, JSON.parse(body).code]).toEqual([500, 'backend-invalid']);
});

test('a name that does not exist is in the status of its Backend', async () => {
  await cluster.apply(served('missing', { dns: { name: `nowhere.${DOMAIN}`, port: 80 } }));
  const { message } = await condition(cluster, NAMESPACE, 'backend/missing', 'Programmed', 'False');
  expect(message).toContain(`DNS name nowhere.${DOMAIN} does not exist`);
  const { status, body } = await curl(cluster, `${url}/`, '-H', `host: ${hostOf('missing')}`);
  expect([status, JSON.parse(body).code]).toEqual([503, 'no-endpoint']);
  // The scenarios after this one find nothing rejected.
  await cluster.kubectl(['delete', '-n', NAMESPACE, 'route/missing', 'backend/missing']);
});

test('a pod that goes finishes what it has, and new requests go elsewhere', async () => {
  const host = ['-H', `host: ${hostOf('echo')}`];
  // Enough of them for each pod to have one, whichever data planes they come by: each takes the pods in turn.
  const slow = Array.from({ length: 6 }, () => curl(cluster, `${url}/?delay=6000`, ...host));
  await new Promise((resolve) => setTimeout(resolve, 1500));
  const pods = await cluster.kubectl(['get', 'pods', '-n', NAMESPACE, '-l', 'app=echo', '-o', 'name']);
  const [leaving = ''] = pods.trim().split('\n');
  const load = startLoad({
    url: `${url}/`,
    headers: { host: hostOf('echo') },
    concurrency: 4,
    pauseMs: 10,
    maxMs: 60_000,
  });
  await cluster.kubectl(['delete', '-n', NAMESPACE, '--wait=false', leaving]);
  const answers = await Promise.all(slow);
  expect(answers.map(({ status }) => status)).toEqual(Array(6).fill(200));
  expect(answers.map(({ body }) => `pod/${JSON.parse(body).pod}`)).toContain(leaving);
  await until(
    'the old pod is gone',
    async () => {
      const now = await cluster.kubectl(['get', 'pods', '-n', NAMESPACE, '-l', 'app=echo', '-o', 'name']);
      return !now.split('\n').includes(leaving);
    },
    60_000,
  );
  await cluster.kubectl(['rollout', 'status', '-n', NAMESPACE, 'deployment/echo', '--timeout=60s'], {
    timeoutMs: 70_000,
  });
  const result = await load.stop();
  console.log(`discovery: a pod deleted: ${result.sent} requests, ${result.failed} failed`);
  expect(result.failures).toEqual([]);
  expect(result.byPod.size).toBeGreaterThanOrEqual(2);
});

test.each(['by-name', 'by-srv'])(
  'endpoints %s follow the DNS while pods come and go, and no request fails',
  async (name) => {
    const load = startLoad({
      url: `${url}/`,
      headers: { host: hostOf(name) },
      concurrency: 4,
      pauseMs: 10,
      maxMs: 120_000,
    });
    for (const replicas of [4, 2]) {
      await cluster.kubectl(['scale', '-n', NAMESPACE, 'deployment/echo', `--replicas=${replicas}`]);
      await until(`${replicas} pods answer`, async () => (await podsAnswering(name, 16)) === replicas, 60_000);
    }
    const result = await load.stop();
    console.log(
      `discovery: ${name}: ${result.sent} requests, ${result.failed} failed, ${result.byPod.size} pods answered`,
    );
    expect(result.failures).toEqual([]);
    expect(result.byPod.size).toBeGreaterThanOrEqual(4);
  },
);
