/** custom.metrics.k8s.io behind a real API server's aggregation layer, and against callers who try to go round it. */
import { mkdirSync, readFileSync } from 'node:fs';
import { request } from 'node:https';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type CertificateFiles, issueCertificate } from '../cluster/certificates.ts';
import { stopDaemon, until } from '../cluster/process.ts';
import { ControlPlane, freePorts } from './control-plane.ts';
import {
  type Certificates,
  type ControllerProcess,
  createCertificates,
  NAMESPACE,
  ScriptedDataPlane,
  startControllerProcess,
} from './programs.ts';

interface MetricValueList {
  kind: string;
  items: {
    describedObject: { kind: string; namespace: string; name: string };
    metric: { name: string };
    timestamp: string;
    windowSeconds?: number;
    value: string;
  }[];
}

const ROOT = '/apis/custom.metrics.k8s.io/v1beta2';
const ALL_IN_FLIGHT = `${ROOT}/namespaces/${NAMESPACE}/pods/*/tidegate_requests_in_flight`;

let plane: ControlPlane;
let certificates: Certificates;
let one: ControllerProcess;
let two: ControllerProcess;
const dataPlanes: ScriptedDataPlane[] = [];

beforeAll(async () => {
  plane = await ControlPlane.start();
  await plane.kubectl(['create', 'namespace', NAMESPACE]);
  certificates = await createCertificates(plane);
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = await freePorts(6);
  const peers = [`127.0.0.1:${a}`, `127.0.0.1:${d}`];
  one = await startControllerProcess({ replica: 'one', plane, certificates, peers, ports: [a, b, c] });
  two = await startControllerProcess({ replica: 'two', plane, certificates, peers, ports: [d, e, f] });
  const busy = new ScriptedDataPlane(one, certificates, 'pod-a', () => ({}));
  busy.load = { inFlight: 41, requestsPerSecond: 812.5 };
  const idle = new ScriptedDataPlane(two, certificates, 'pod-b', () => ({}));
  idle.load = { inFlight: 0, requestsPerSecond: 0.25 };
  dataPlanes.push(busy, idle);
  const pod = (name: string, tier: string) => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: NAMESPACE, labels: { tier } },
    spec: { containers: [{ name: 'x', image: 'x' }], automountServiceAccountToken: false },
  });
  await plane.apply({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'default', namespace: NAMESPACE } });
  await plane.apply(
    pod('pod-a', 'edge'),
    pod('pod-b', 'edge'),
    pod('pod-c', 'inner'),
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'tidegate-metrics-api', namespace: NAMESPACE },
      // There is no network of pods here; the API server takes the name as the address.
      spec: { type: 'ExternalName', externalName: 'localhost' },
    },
    {
      apiVersion: 'apiregistration.k8s.io/v1',
      kind: 'APIService',
      metadata: { name: 'v1beta2.custom.metrics.k8s.io' },
      spec: {
        group: 'custom.metrics.k8s.io',
        version: 'v1beta2',
        groupPriorityMinimum: 100,
        versionPriority: 200,
        service: { namespace: NAMESPACE, name: 'tidegate-metrics-api', port: two.metricsApiPort },
        caBundle: readFileSync(certificates.authority.cert).toString('base64'),
      },
    },
    ...['hpa', 'stranger'].map((name) => ({
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { name, namespace: NAMESPACE },
    })),
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRole',
      metadata: { name: 'metrics-reader' },
      rules: [{ apiGroups: ['custom.metrics.k8s.io'], resources: ['*'], verbs: ['get', 'list'] }],
    },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRoleBinding',
      metadata: { name: 'metrics-reader' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'metrics-reader' },
      subjects: [{ kind: 'ServiceAccount', name: 'hpa', namespace: NAMESPACE }],
    },
  );
  await plane.kubectl([
    'wait',
    '--for=condition=Available',
    'apiservice',
    'v1beta2.custom.metrics.k8s.io',
    '--timeout=60s',
  ]);
});

afterAll(async () => {
  for (const dataPlane of dataPlanes) dataPlane.close();
  for (const program of [one, two]) if (program !== undefined) await stopDaemon(program.daemon, 10_000);
  await plane?.stop();
});

async function raw<T>(at: string): Promise<T> {
  return JSON.parse(await plane.kubectl(['get', '--raw', at])) as T;
}

async function token(account: string): Promise<string> {
  return (await plane.kubectl(['create', 'token', '-n', NAMESPACE, account])).trim();
}

interface DirectOptions {
  readonly client?: CertificateFiles;
  readonly headers?: Record<string, string | string[]>;
}

/** Past the API server, straight to a replica. */
function direct(at: string, { client, headers = {} }: DirectOptions = {}): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const asked = request(
      {
        host: '127.0.0.1',
        port: one.metricsApiPort,
        path: at,
        headers,
        ca: readFileSync(certificates.authority.cert),
        servername: 'tidegate-metrics-api.tidegate.svc',
        ...(client === undefined ? {} : { cert: readFileSync(client.cert), key: readFileSync(client.key) }),
      },
      (answer) => {
        let body = '';
        answer.on('data', (chunk) => (body += chunk));
        answer.on('end', () => resolve({ status: answer.statusCode ?? 0, body }));
      },
    );
    asked.on('error', reject);
    asked.end();
  });
}

test('discovery: kubectl knows the group, and the whole of discovery still works', async () => {
  await until(
    'the group is discovered',
    async () => (await plane.kubectl(['api-versions'])).includes('custom.metrics.k8s.io/v1beta2'),
    20_000,
    250,
  );
  const list = await raw<{ resources: { name: string; namespaced: boolean }[] }>(ROOT);
  expect(list.resources.map(({ name }) => name)).toContain('pods/tidegate_requests_per_second');
  // A group that can't be discovered would break every deletion of a namespace.
  expect(await plane.kubectl(['api-resources', '-o', 'name'])).toContain('routes.tidegate.dev');
});

test('every replica answers for the whole fleet, in quantities, with time and window', async () => {
  let list: MetricValueList = { kind: '', items: [] };
  await until(
    'both data planes have reported their load',
    async () => {
      list = await raw<MetricValueList>(ALL_IN_FLIGHT);
      return list.items.length === 2 && list.items.some(({ value }) => value !== '0');
    },
    10_000,
    100,
  );
  expect(list.kind).toBe('MetricValueList');
  expect(list.items.map(({ describedObject, value }) => [describedObject.name, value])).toEqual([
    ['pod-a', '41'],
    ['pod-b', '0'],
  ]);
  const rates = await raw<MetricValueList>(ALL_IN_FLIGHT.replace('in_flight', 'per_second'));
  expect(rates.items.map(({ value, windowSeconds }) => [value, windowSeconds])).toEqual([
    ['812500m', 1],
    ['250000u', 1],
  ]);
  for (const { timestamp } of rates.items) expect(Math.abs(Date.now() - Date.parse(timestamp))).toBeLessThan(10_000);
  const named = await raw<MetricValueList>(ALL_IN_FLIGHT.replace('*', 'pod-b'));
  expect(named.items.map(({ describedObject }) => describedObject.name)).toEqual(['pod-b']);
});

test('a label selector means the pods that have the labels', async () => {
  const names = async (selector: string) =>
    (await raw<MetricValueList>(`${ALL_IN_FLIGHT}?labelSelector=${encodeURIComponent(selector)}`)).items.map(
      ({ describedObject }) => describedObject.name,
    );
  expect(await names('tier=edge')).toEqual(['pod-a', 'pod-b']);
  expect(await names('tier=inner')).toEqual([]);
  expect(await names('tier in (inner, other)')).toEqual([]);
  await expect(names('tier in (((')).rejects.toThrow(/labelSelector/);
});

test('what is not there is not found', async () => {
  for (const at of [
    ALL_IN_FLIGHT.replace('in_flight', 'nonsense'),
    ALL_IN_FLIGHT.replace('*', 'pod-c'),
    ALL_IN_FLIGHT.replace('/pods/', '/services/'),
    ALL_IN_FLIGHT.replace('tidegate_requests_in_flight', '__proto__'),
  ]) {
    await expect(raw(at)).rejects.toThrow(/NotFound/);
  }
  expect((await raw<MetricValueList>(ALL_IN_FLIGHT.replace(`/${NAMESPACE}/`, '/elsewhere/'))).items).toEqual([]);
});

test('who may not is refused, through the API server and past it', async () => {
  const as = (account: string) =>
    plane.kubectl(['get', '--raw', ALL_IN_FLIGHT, `--as=system:serviceaccount:${NAMESPACE}:${account}`]);
  expect(JSON.parse(await as('hpa'))).toMatchObject({ kind: 'MetricValueList' });
  await expect(as('stranger')).rejects.toThrow(/Forbidden/);

  const bearer = async (account: string) => ({ headers: { authorization: `Bearer ${await token(account)}` } });
  expect((await direct(ALL_IN_FLIGHT, await bearer('hpa'))).status).toBe(200);
  expect((await direct(ALL_IN_FLIGHT, await bearer('stranger'))).status).toBe(403);
  expect((await direct(ROOT, await bearer('stranger'))).status).toBe(200);
  expect((await direct(ALL_IN_FLIGHT)).status).toBe(401);
  expect((await direct(ALL_IN_FLIGHT, { headers: { authorization: 'Bearer nonsense' } })).status).toBe(401);
  expect((await direct('/healthz')).status).toBe(200);
});

test('headers that name a user count from the front proxy alone', async () => {
  const folder = path.join(plane.folder, 'impostors');
  mkdirSync(folder);
  const { frontProxyAuthority, frontProxyClient, authority } = plane.identities;
  const headers = { 'x-remote-user': 'root', 'x-remote-group': ['system:masters', 'others'] };
  const issue = (name: string, by: CertificateFiles) => issueCertificate(folder, by, { name, commonName: name });
  const wrongName = await issue('some-other-proxy', frontProxyAuthority);
  const wrongAuthority = await issue('front-proxy-client', authority);

  expect((await direct(ALL_IN_FLIGHT, { client: frontProxyClient, headers })).status).toBe(200);
  expect((await direct(ALL_IN_FLIGHT, { headers })).status).toBe(401);
  expect((await direct(ALL_IN_FLIGHT, { client: wrongName, headers })).status).toBe(401);
  expect((await direct(ALL_IN_FLIGHT, { client: wrongAuthority, headers })).status).toBe(401);
  expect((await direct(ALL_IN_FLIGHT, { client: certificates.controller, headers })).status).toBe(401);
  // Two headers are two groups, and a comma in one is no separator.
  const groups = (value: string[]) => ({
    client: frontProxyClient,
    headers: { 'x-remote-user': 'a', 'x-remote-group': value },
  });
  expect((await direct(ALL_IN_FLIGHT, groups(['x', 'system:masters']))).status).toBe(200);
  expect((await direct(ALL_IN_FLIGHT, groups(['x, system:masters']))).status).toBe(403);
});

test('when nobody can be asked, nobody is let in', async () => {
  const fresh = await token('stranger');
  await plane.pauseApiServer(async () => {
    const answer = await direct(ALL_IN_FLIGHT, { headers: { authorization: `Bearer ${fresh}` } });
    expect(answer.status).toBe(503);
    expect(JSON.parse(answer.body)).toMatchObject({ kind: 'Status', reason: 'ServiceUnavailable' });
  });
});
