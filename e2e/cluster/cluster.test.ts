import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { acquireCluster } from './acquire.ts';
import { createAuthority } from './certificates.ts';
import type { Cluster } from './cluster.ts';
import { autoscalingObjects, container, deployment, labels, service } from './fixtures/manifests.ts';
import { nodeImage } from './images.ts';
import { until } from './process.ts';

const fixtures = join(import.meta.dirname, 'fixtures');
const echo = nodeImage({ folder: fixtures, arguments: ['/app/echo.ts'], user: '65532:65532' });
const customMetrics = nodeImage({ folder: fixtures, arguments: ['/app/custom-metrics.ts'], user: '65532:65532' });
let cluster: Cluster;

beforeAll(async () => {
  cluster = await acquireCluster({
    images: { 'tidegate/echo:dev': echo, 'tidegate/custom-metrics:dev': customMetrics },
    hpaDownscaleStabilizationMs: 4_000,
    restartBackoffMs: 1_000,
    log: console.log,
  });
});

afterAll(async () => {
  await cluster?.stop();
});

interface Answer {
  pod: string;
  node: string;
  address: string;
  version: string;
  memoryLimit: string;
  uid: number;
  pid: number;
  args: string[];
}

interface PodList {
  items: {
    metadata: { name: string };
    spec: { nodeName: string };
    status: {
      podIP: string;
      phase: string;
      containerStatuses: { restartCount: number; ready: boolean; state: object; lastState: object }[];
    };
  }[];
}

const rollout = (name: string) => cluster.kubectl(['rollout', 'status', `deployment/${name}`, '--timeout=50s']);
const pods = async (name: string) => (await cluster.get<PodList>(['pods', '-l', `app=${name}`])).items;
const curl = async (url: string) => (await cluster.exec(['curl', '-sS', '-m', '5', url])).stdout;
const ask = async (url: string) => JSON.parse(await curl(url)) as Answer;

test('a Deployment of three answers through pod address, cluster address and DNS name', async () => {
  await cluster.apply([service('echo'), deployment('echo', 3, { containers: [container()] })]);
  await rollout('echo');

  const running = await pods('echo');
  expect(new Set(running.map(({ spec }) => spec.nodeName)).size).toBe(2);
  for (const pod of running) {
    const answer = await ask(`http://${pod.status.podIP}:8080/`);
    expect(answer).toMatchObject({
      pod: pod.metadata.name,
      node: pod.spec.nodeName,
      address: pod.status.podIP,
      memoryLimit: '256',
    });
    expect(answer).toMatchObject({ uid: 65532, pid: 1, args: [`--pod=${pod.metadata.name}`, '--literal=$(POD_NAME)'] });
  }

  const clusterAddress = (await cluster.kubectl(['get', 'service', 'echo', '-o', 'jsonpath={.spec.clusterIP}'])).trim();
  // kube-proxy gathers changes for up to a second, here as in a real cluster.
  await until('the Service answers', async () => (await curl(`http://${clusterAddress}/`)) !== '', 10_000);
  const viaAddress = new Set<string>();
  const viaName = new Set<string>();
  for (let i = 0; i < 30; i += 1) {
    viaAddress.add((await ask(`http://${clusterAddress}/`)).pod);
    viaName.add((await ask('http://echo.default.svc.cluster.local/')).pod);
  }
  expect(viaAddress.size).toBe(3);
  expect(viaName.size).toBe(3);
});

test('a pod reaches a Service by its short name', async () => {
  const script = "fetch('http://echo/').then(r => r.json()).then(a => console.log('answered by ' + a.pod))";
  await cluster.apply({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'client', namespace: 'default' },
    spec: {
      restartPolicy: 'Never',
      containers: [{ name: 'client', image: 'tidegate/echo:dev', command: ['node', '-e', script] }],
    },
  });
  await cluster.kubectl(['wait', 'pod/client', '--for=jsonpath={.status.phase}=Succeeded', '--timeout=20s']);
  expect(await cluster.kubectl(['logs', 'client'])).toMatch(/^answered by echo-/);
  await cluster.kubectl(['delete', 'pod', 'client', '--timeout=10s']);
});

test('scaling moves the endpoints', async () => {
  const ready = async () => {
    const list = await cluster.get<{ items: { endpoints?: { conditions: { ready: boolean } }[] }[] }>([
      ...['endpointslices', '-l', 'kubernetes.io/service-name=echo'],
    ]);
    return list.items.flatMap(({ endpoints = [] }) => endpoints).filter(({ conditions }) => conditions.ready).length;
  };
  await cluster.kubectl(['scale', 'deployment/echo', '--replicas=5']);
  await until('five endpoints', async () => (await ready()) === 5, 20_000);
  await cluster.kubectl(['scale', 'deployment/echo', '--replicas=2']);
  await until('two endpoints', async () => (await ready()) === 2, 20_000);
  await until('two pods', async () => (await pods('echo')).length === 2, 20_000);
});

test('a rolling update under load loses no request', async () => {
  const [file = '', ...args] = cluster.inside([process.execPath, join(fixtures, 'load.ts'), 'http://echo/', '10']);
  const load = spawn(file, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const chunks: Buffer[] = [];
  load.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  await sleep(500);
  await cluster.kubectl(['set', 'env', 'deployment/echo', 'VERSION=v2']);
  await rollout('echo');
  await sleep(2_500);
  load.stdin.end();
  await once(load, 'close');

  const result = JSON.parse(Buffer.concat(chunks).toString()) as {
    sent: number;
    failed: number;
    errors: string[];
    versions: object;
  };
  expect(result).toMatchObject({ failed: 0, errors: [] });
  expect(Object.keys(result.versions).sort()).toEqual(['v1', 'v2']);
  expect(result.sent).toBeGreaterThan(50);
});

test('kubectl logs shows a container’s output, whole, from the end, and as it comes', async () => {
  const [pod] = await pods('echo');
  const name = pod?.metadata.name ?? '';
  expect(await cluster.kubectl(['logs', name])).toBe('echo v2 listens\n');
  expect(await cluster.kubectl(['logs', name, '--tail=1'])).toBe('echo v2 listens\n');

  const [file = '', ...args] = cluster.inside([cluster.kubectlPath, 'logs', '-f', name]);
  const follower = spawn(file, args, { env: cluster.env() });
  let text = '';
  follower.stdout.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  const closed = once(follower, 'close');
  await until('the first line', () => text.includes('listens'), 10_000);
  await cluster.kubectl(['delete', 'pod', name, '--wait=false']);
  await closed;
  expect(text).toContain('draining');
  await rollout('echo');
});

test('a mounted ConfigMap and Secret show an update', async () => {
  const settings = (greeting: string) => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'settings', namespace: 'default' },
    data: { greeting },
  });
  const secret = (token: string) => ({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'token', namespace: 'default' },
    stringData: { token },
  });
  const volumes = [
    { name: 'settings', configMap: { name: 'settings' } },
    { name: 'token', secret: { secretName: 'token' } },
  ];
  const volumeMounts = [
    { name: 'settings', mountPath: '/etc/settings' },
    { name: 'token', mountPath: '/var/token', readOnly: true },
  ];
  // The Deployment comes first: the pod waits for what it mounts.
  await cluster.apply([deployment('mounts', 1, { containers: [container({ volumeMounts })], volumes })]);
  await until(
    'the pod waits',
    async () => (await cluster.kubectl(['get', 'events'])).includes('configmap "settings" not found'),
    10_000,
  );
  await cluster.apply([settings('hello'), secret('first')]);
  await rollout('mounts');
  const address = (await pods('mounts'))[0]?.status.podIP ?? '';
  expect(await curl(`http://${address}:8080/file/etc/settings/greeting`)).toBe('hello');
  expect(await curl(`http://${address}:8080/file/var/token/token`)).toBe('first');

  await cluster.apply([settings('good day'), secret('second')]);
  await until(
    'both updates',
    async () => {
      const greeting = await curl(`http://${address}:8080/file/etc/settings/greeting`);
      return greeting === 'good day' && (await curl(`http://${address}:8080/file/var/token/token`)) === 'second';
    },
    10_000,
  );
});

test('the service-account token is accepted by the API server', async () => {
  const address = (await pods('mounts'))[0]?.status.podIP ?? '';
  const token = await curl(`http://${address}:8080/file/var/run/secrets/kubernetes.io/serviceaccount/token`);
  const review = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token } };
  const answer = JSON.parse(
    await cluster.kubectl(['create', '-f', '-', '-o', 'json'], { input: JSON.stringify(review) }),
  ) as {
    status: { authenticated: boolean; user: { username: string } };
  };
  expect(answer.status).toMatchObject({
    authenticated: true,
    user: { username: 'system:serviceaccount:default:default' },
  });
});

test('a crashing container restarts after growing waits', async () => {
  // Each run notes its start beside those before, so that none is missed by looking at the wrong moment.
  const script = `const { appendFileSync, readFileSync } = require('node:fs');
    appendFileSync('/starts/list', Date.now() + ' ');
    console.log(readFileSync('/starts/list', 'utf8'));
    process.exit(7);`;
  const volumeMounts = [{ name: 'starts', mountPath: '/starts' }];
  const crash = { name: 'crash', image: 'tidegate/echo:dev', command: ['node', '-e', script], volumeMounts };
  await cluster.apply(deployment('crash', 1, { containers: [crash], volumes: [{ name: 'starts', emptyDir: {} }] }));
  let starts: number[] = [];
  await until(
    'five runs',
    async () => {
      const [pod] = await pods('crash');
      if (pod?.status.containerStatuses === undefined) return false;
      const log = await cluster.kubectl(['logs', pod.metadata.name]);
      starts = log.trim().split(' ').map(Number);
      return starts.length >= 5;
    },
    40_000,
  );
  const waits = starts.slice(1, 5).map((start, i) => start - (starts[i] ?? 0));
  // The first restart comes at once; then after 1 s, doubled each time. Upper bounds would measure the machine.
  expect(waits[1]).toBeGreaterThanOrEqual(1_000);
  expect(waits[2]).toBeGreaterThanOrEqual(2_000);
  expect(waits[3]).toBeGreaterThanOrEqual(4_000);
  const [pod] = await pods('crash');
  expect(pod?.status.containerStatuses[0]?.lastState).toMatchObject({ terminated: { exitCode: 7, reason: 'Error' } });
  await cluster.kubectl(['delete', 'deployment', 'crash']);
});

test('a container that fails its liveness probe is restarted', async () => {
  const livenessProbe = { httpGet: { path: '/livez', port: 8080 }, periodSeconds: 1, failureThreshold: 2 };
  await cluster.apply(deployment('sick', 1, { containers: [container({ livenessProbe })] }));
  await rollout('sick');
  const [pod] = await pods('sick');
  await curl(`http://${pod?.status.podIP}:8080/sicken`);
  await until(
    'a restart',
    async () => (await pods('sick'))[0]?.status.containerStatuses[0]?.restartCount === 1,
    20_000,
  );
  await rollout('sick');
  expect((await pods('sick'))[0]?.metadata.name).toBe(pod?.metadata.name);
  expect(await curl(`http://${pod?.status.podIP}:8080/livez`)).toBe('');
});

test('init containers, a sidecar, a shared emptyDir, exec probes and preStop', async () => {
  const shared = { name: 'shared', emptyDir: {} };
  const volumeMounts = [{ name: 'shared', mountPath: '/shared' }];
  const script = (name: string, text: string, extra: object = {}) => ({
    ...{ name, image: 'tidegate/echo:dev', command: ['sh', '-c', text], volumeMounts },
    ...extra,
  });
  const markStopped = { exec: { command: ['sh', '-c', 'echo "preStop as $(id -u) $WHO" >> /shared/log'] } };
  const spec = {
    terminationGracePeriodSeconds: 5,
    initContainers: [
      script('first', 'echo first >> /shared/log'),
      script('sidecar', 'echo sidecar >> /shared/log; trap "exit 0" TERM; tail -f /shared/log & wait', {
        restartPolicy: 'Always',
        startupProbe: { exec: { command: ['grep', 'sidecar', '/shared/log'] }, periodSeconds: 1 },
      }),
      script('second', 'echo second >> /shared/log'),
    ],
    containers: [
      script('main', 'echo main >> /shared/log; trap "exit 0" TERM; while :; do sleep 0.1; done', {
        env: [{ name: 'WHO', value: 'main' }],
        readinessProbe: { exec: { command: ['test', '-f', '/shared/log'] }, periodSeconds: 1 },
        lifecycle: { preStop: markStopped },
      }),
    ],
    volumes: [shared],
  };
  await cluster.apply({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'parts', namespace: 'default' }, spec });
  await cluster.kubectl(['wait', 'pod/parts', '--for=condition=Ready', '--timeout=20s']);
  const [file = '', ...args] = cluster.inside([cluster.kubectlPath, 'logs', '-f', 'parts', '-c', 'sidecar']);
  const follower = spawn(file, args, { env: cluster.env() });
  let text = '';
  follower.stdout.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  const closed = once(follower, 'close');
  await until('the log so far', () => text === 'first\nsidecar\nsecond\nmain\n', 10_000);
  await cluster.kubectl(['delete', 'pod', 'parts', '--timeout=20s']);
  await closed;
  expect(text).toBe('first\nsidecar\nsecond\nmain\npreStop as 65532 main\n');
});

test('an unknown image and a disruption budget act as in a real cluster', async () => {
  await cluster.apply(deployment('unknown', 1, { containers: [{ name: 'unknown', image: 'no/such:image' }] }));
  await until(
    'ErrImagePull',
    async () => /ErrImagePull|ImagePullBackOff/.test(await cluster.kubectl(['get', 'pods', '-l', 'app=unknown'])),
    15_000,
  );
  await cluster.kubectl(['delete', 'deployment', 'unknown']);

  const budget = { minAvailable: 2, selector: { matchLabels: labels('echo') } };
  await cluster.apply({
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata: { name: 'echo', namespace: 'default' },
    spec: budget,
  });
  await until(
    'the budget is counted',
    async () => (await cluster.kubectl(['get', 'pdb', 'echo', '-o', 'jsonpath={.status.currentHealthy}'])) === '2',
    10_000,
  );
  const node = (await pods('echo'))[0]?.spec.nodeName ?? '';
  const drain = await cluster.exec(['kubectl', 'drain', node, '--pod-selector=app=echo', '--timeout=2s'], {
    allowFailure: true,
  });
  expect(drain.stderr).toContain("violate the pod's disruption budget");
  await cluster.kubectl(['uncordon', node]);
});

test('the HPA follows a custom metric of an aggregated API, up and down', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'tidegate-metrics-'));
  const serving = await createAuthority(directory, 'custom-metrics.default.svc');
  const certificate = { 'tls.crt': readFileSync(serving.cert, 'utf8'), 'tls.key': readFileSync(serving.key, 'utf8') };
  rmSync(directory, { recursive: true });
  // What an extension server reads by its rights; here the test copies it.
  const trusted = await cluster.get<{ data: object }>([
    'configmap',
    'extension-apiserver-authentication',
    '-n',
    'kube-system',
  ]);
  const name = 'custom-metrics';
  await cluster.apply(autoscalingObjects(name, certificate, trusted.data));
  await rollout(name);
  await cluster.kubectl([
    'wait',
    'apiservice/v1beta2.custom.metrics.k8s.io',
    '--for=condition=Available',
    '--timeout=30s',
  ]);
  const address = (await pods(name))[0]?.status.podIP ?? '';
  const replicas = async () =>
    (await cluster.kubectl(['get', 'deployment', 'echo', '-o', 'jsonpath={.status.readyReplicas}'])).trim();
  await curl(`http://${address}:8080/load/40`);
  await until('four replicas', async () => (await replicas()) === '4', 30_000);
  expect(await cluster.kubectl(['get', 'hpa', 'echo'])).toMatch(/\d+\/10 \(avg\)/);
  await curl(`http://${address}:8080/load/5`);
  await until('two replicas again', async () => (await replicas()) === '2', 40_000);
}, 120_000);
