/** A broken object harms itself alone, says so in its status and in an Event, and recovers when it is mended. */
import { beforeAll, expect, test } from 'vitest';
import type { Cluster } from '../cluster/cluster.ts';
import { until } from '../cluster/process.ts';
import { condition, curl, installedCluster, route, serveEcho, TO_ECHO } from '../harness/installation.ts';
import { startLoad } from '../harness/load.ts';

const namespace = 'bad';
let cluster: Cluster;
let url: string;

const ask = (host: string, path = '/') => curl(cluster, `${url}${path}`, '-H', `Host: ${host}`);

beforeAll(async () => {
  cluster = await installedCluster();
  url = await serveEcho(cluster, namespace, 1, 'good.example.com');
  await cluster.apply(route(namespace, 'other', 'other.example.com'));
  await condition(cluster, namespace, 'route/other');
});

test('a route to a backend that is not there answers 500 and says BackendNotFound; its valid rule and its neighbours serve', async () => {
  const load = startLoad({
    url: `${url}/`,
    headers: { host: 'good.example.com' },
    concurrency: 4,
    pauseMs: 10,
    maxMs: 60_000,
  });
  await cluster.apply(
    route(namespace, 'other', 'other.example.com', [
      TO_ECHO,
      { name: 'broken', matches: [{ path: { prefix: '/broken' } }], backends: [{ name: 'nowhere' }] },
    ]),
  );
  const resolved = await condition(cluster, namespace, 'route/other', 'ResolvedRefs', 'False');
  expect(resolved.reason).toBe('BackendNotFound');
  expect(resolved.message).toContain('nowhere');
  await condition(cluster, namespace, 'route/other');
  const broken = await ask('other.example.com', '/broken');
  expect(broken.status).toBe(500);
  expect(JSON.parse(broken.body)).toMatchObject({ status: 500 });
  expect((await ask('other.example.com')).status).toBe(200);

  const row = await cluster.kubectl(['get', 'routes', '-n', namespace, 'other']);
  expect(row).toContain('BackendNotFound');
  await until(
    'an Event with the reason',
    async () => (await cluster.kubectl(['get', 'events', '-n', namespace])).includes('nowhere'),
    20_000,
  );

  await cluster.apply(route(namespace, 'other', 'other.example.com'));
  await condition(cluster, namespace, 'route/other', 'ResolvedRefs');
  const result = await load.stop();
  console.log(`bad-object: ${result.sent} requests to the neighbour, ${result.failed} failed`);
  expect(result.failures).toEqual([]);
});

test('what the schema can see is refused by the API server, with the field', async () => {
  const wrong = route(namespace, 'echo', 'good.example.com', [
    { name: 'all', matches: [{ path: { exact: '/a', prefix: '/b' } }], backends: [{ name: 'echo', weight: -1 }] },
  ]);
  const refused = await cluster.exec([cluster.kubectlPath, 'apply', '--server-side', '-f', '-'], {
    input: JSON.stringify(wrong),
    allowFailure: true,
  });
  expect(refused.code).not.toBe(0);
  expect(refused.stderr).toContain('spec.rules[0].matches[0].path');
  expect(refused.stderr).toContain('set exactly one of exact, prefix, regex');
  expect(refused.stderr).toContain('spec.rules[0].backends[0].weight');
  expect((await ask('good.example.com')).status).toBe(200);
});

test('a policy whose target is missing says TargetNotFound and changes nothing', async () => {
  await cluster.apply({
    apiVersion: 'tidegate.dev/v1alpha1',
    kind: 'Policy',
    metadata: { name: 'lost', namespace },
    spec: { targetRefs: [{ kind: 'Route', name: 'no-such-route' }], timeout: { request: '1s' } },
  });
  const accepted = await condition(cluster, namespace, 'policy.tidegate.dev/lost', 'Accepted', 'False');
  expect(accepted.reason).toBe('TargetNotFound');
  expect((await ask('good.example.com')).status).toBe(200);
});
