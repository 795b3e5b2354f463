/** Both charts by helm, resources by kubectl, answers through two data-plane pods, and status that says so. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import type { Cluster } from '../cluster/cluster.ts';
import { until } from '../cluster/process.ts';
import {
  condition,
  curl,
  echo,
  gatewayUrl,
  installedCluster,
  NAMESPACE,
  podsOf,
  RELEASE,
  tidegateStatus,
} from '../harness/installation.ts';

let cluster: Cluster;
beforeAll(async () => {
  cluster = await installedCluster();
  await echo(cluster, 'install', 'echo', 2);
  await cluster.apply(readFileSync(path.join(import.meta.dirname, 'routes.yaml'), 'utf8'));
});

test('helm installs two controllers and two data planes, all ready', async () => {
  for (const component of ['controller', 'dataplane'] as const) {
    const pods = await podsOf(cluster, component);
    expect(pods).toHaveLength(2);
    for (const pod of pods)
      expect(pod.status.conditions).toContainEqual(expect.objectContaining({ type: 'Ready', status: 'True' }));
  }
  expect(await cluster.helm(['status', RELEASE, '-n', NAMESPACE])).toContain('kubectl get routes -A');
});

test('each data-plane pod and the Service answer as the Route says', async () => {
  await condition(cluster, 'install', 'route/shop');
  const addresses = (await podsOf(cluster, 'dataplane')).map((pod) => `http://${pod.status.podIP}:8080`);
  for (const url of [...addresses, await gatewayUrl(cluster)]) {
    const answer = await curl(cluster, `${url}/orders/42?x=1`, '-H', 'Host: shop.example.com');
    expect(answer.status).toBe(200);
    const seen = JSON.parse(answer.body) as { url: string; headers: Record<string, string> };
    expect(seen.url).toBe('/v1/orders/42?x=1');
    expect(seen.headers['x-tenant']).toBe('acme');
    expect(seen.headers['x-forwarded-host']).toBe('shop.example.com');

    const moved = await curl(cluster, `${url}/old`, '-H', 'Host: shop.example.com');
    expect(moved.status).toBe(308);
    expect(moved.text.toLowerCase()).toContain('location: http://shop.example.com/orders');

    const preflight = await curl(
      ...([cluster, `${url}/orders/1`, '-X', 'OPTIONS', '-H', 'Host: shop.example.com'] as const),
      ...['-H', 'Origin: https://app.example.com', '-H', 'Access-Control-Request-Method: GET'],
    );
    expect(preflight.text.toLowerCase()).toContain('access-control-allow-origin: https://app.example.com');

    const unknown = await curl(cluster, `${url}/nothing`, '-H', 'Host: shop.example.com');
    expect(unknown.status).toBe(404);
    expect(JSON.parse(unknown.body)).toMatchObject({ status: 404, code: 'no-route' });
  }
});

test('kubectl get shows hosts, backends, targets and both conditions', async () => {
  await condition(cluster, 'install', 'policy.tidegate.dev/browsers');
  await condition(cluster, 'install', 'backend/echo');
  const rows = async (...what: string[]): Promise<string[][]> =>
    (await cluster.kubectl(['get', ...what, '-n', 'install']))
      .trim()
      .split('\n')
      .map((line) => line.split(/ {2,}|\t/));
  const [routeHead, route] = await rows('routes');
  expect(routeHead?.slice(0, 4)).toEqual(['NAME', 'HOSTS', 'BACKENDS', 'ACCEPTED']);
  expect(route?.slice(0, 5)).toEqual(['shop', 'shop.example.com', 'echo', 'True', 'True']);
  const [, backend] = await rows('backends');
  expect(backend?.slice(0, 5)).toEqual(['echo', 'Service/echo:http', 'http1', '2/2', 'True']);
  const [, policy] = await rows('policies');
  expect(policy?.slice(0, 5)).toEqual(['browsers', 'Route/shop', 'cors', 'True', 'True']);
});

test('tidegate status shows both controllers and both data planes at the revision', async () => {
  await until(
    'everyone current',
    async () => {
      const status = JSON.parse(await tidegateStatus(cluster, 'json')) as {
        controllers: { revision: string; leader: boolean }[];
        dataPlanes: { revision: string; behind: number; load: { ready: boolean } | null }[];
      };
      const revisions = [...status.controllers, ...status.dataPlanes].map(({ revision }) => revision);
      return (
        status.controllers.length === 2 &&
        status.controllers.filter(({ leader }) => leader).length === 1 &&
        status.dataPlanes.length === 2 &&
        status.dataPlanes.every(({ load }) => load?.ready === true) &&
        new Set(revisions).size === 1
      );
    },
    20_000,
  );
  expect(await tidegateStatus(cluster, 'text')).toMatch(/data plane +tidegate-dataplane-\S+ +current/);
});

test('status is written only when it changes', async () => {
  const version = () =>
    cluster.kubectl(['get', '-n', 'install', 'route/shop', '-o', 'jsonpath={.metadata.resourceVersion}']);
  const before = await version();
  await new Promise((resolve) => setTimeout(resolve, 5000));
  expect(await version()).toBe(before);
});
