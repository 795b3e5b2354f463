/** What only a real API server can say of the chart: it takes every manifest, and an upgrade keeps the certificates. */
import { X509Certificate } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { chart, render, valuesFolder } from '../chart/render.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { RELEASE as INSTALLED, NAMESPACE as INSTALLED_IN, installedCluster } from '../harness/installation.ts';

const NAMESPACE = 'chart-upgrade';
const RELEASE = 'kept';
/** Nothing has to run for this, and the cluster's metrics API stays with whoever serves it. */
const IDLE = {
  'autoscaling.enabled': 'false',
  'customMetrics.enabled': 'false',
  'dataplane.replicas': '0',
  'controller.replicas': '1',
  'controller.nodeSelector.none': 'such',
};

let cluster: Cluster;
beforeAll(async () => {
  cluster = await installedCluster();
  for (const namespace of [NAMESPACE, 'gateways', 'shop', 'billing']) {
    await cluster.kubectl(['create', 'namespace', namespace], { allowFailure: true });
  }
});
afterAll(async () => {
  await cluster.helm(['uninstall', RELEASE, '-n', NAMESPACE, '--ignore-not-found']);
  if (cluster.ownsCluster) await cluster.stop();
});

test.each(readdirSync(valuesFolder))('the API server takes every manifest of %s', async (values) => {
  const manifests = await render({ values, release: 'dry' });
  const input = manifests.map((manifest) => JSON.stringify(manifest)).join('\n');
  const taken = await cluster.kubectl(
    ['apply', '--server-side', '--dry-run=server', '--force-conflicts', '--validate=strict', '-f', '-'],
    {
      input,
    },
  );
  expect(taken.trim().split('\n')).toHaveLength(manifests.length);
});

test('helm test finds the gateway and the controller well', async () => {
  const report = await cluster.helm(['test', INSTALLED, '-n', INSTALLED_IN, '--timeout', '60s'], {
    timeoutMs: 90_000,
  });
  expect(report).toContain('Phase:          Succeeded');
});

async function upgrade(set: Record<string, string> = {}): Promise<void> {
  const pairs = Object.entries({ ...IDLE, ...set }).flatMap(([name, value]) => ['--set', `${name}=${value}`]);
  await cluster.helm(['upgrade', '--install', RELEASE, chart, '-n', NAMESPACE, ...pairs], { timeoutMs: 60_000 });
}

async function secrets(): Promise<Record<'ca' | 'controller-tls' | 'dataplane-tls', Record<string, string>>> {
  const read = async (name: string) =>
    (await cluster.get<{ data: Record<string, string> }>(['secret', '-n', NAMESPACE, `${RELEASE}-${name}`])).data;
  return {
    ca: await read('ca'),
    'controller-tls': await read('controller-tls'),
    'dataplane-tls': await read('dataplane-tls'),
  };
}

const certificate = (data: Record<string, string>, key: string) =>
  new X509Certificate(Buffer.from(data[key] ?? '', 'base64'));

test('an upgrade keeps the certificates and rolls no pod', async () => {
  await upgrade();
  const before = await secrets();
  const templateOf = () =>
    cluster.kubectl([
      'get',
      'deployment',
      '-n',
      NAMESPACE,
      `${RELEASE}-controller`,
      '-o',
      'jsonpath={.metadata.generation}',
    ]);
  const generation = await templateOf();
  await upgrade({ 'service.port': '8000' });
  expect(await secrets()).toEqual(before);
  expect(await templateOf()).toBe(generation);
});

test('new names: the same authority issues the certificate again, the other one stays', async () => {
  await upgrade();
  const before = await secrets();
  await upgrade({ clusterDomain: 'corp.internal' });
  const after = await secrets();
  expect(after.ca).toEqual(before.ca);
  expect(after['dataplane-tls']).toEqual(before['dataplane-tls']);
  const issued = certificate(after['controller-tls'], 'tls.crt');
  expect(issued.checkHost(`${RELEASE}-controller.${NAMESPACE}.svc.corp.internal`)).toBeDefined();
  expect(issued.checkIssued(certificate(before.ca, 'ca.crt'))).toBe(true);
});

test('a deleted authority is replaced, and with it what it had signed', async () => {
  await upgrade();
  const before = await secrets();
  await cluster.kubectl(['delete', 'secret', '-n', NAMESPACE, `${RELEASE}-ca`]);
  await upgrade();
  const after = await secrets();
  expect(after.ca['ca.crt']).not.toBe(before.ca['ca.crt']);
  for (const leaf of ['controller-tls', 'dataplane-tls'] as const) {
    expect(certificate(after[leaf], 'tls.crt').checkIssued(certificate(after.ca, 'ca.crt'))).toBe(true);
    expect(after[leaf]['ca.crt']).toBe(after.ca['ca.crt']);
  }
});
