/** gRPC through a real Service: calls of one connection go to all pods, and rolling either side fails none. */
import { Client, credentials, Metadata, status } from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Cluster } from '../cluster/cluster.ts';
import { condition, gatewayUrl, install, installedCluster, NAMESPACE } from '../harness/installation.ts';
import { WHO } from './who.ts';

const HOST = 'grpc.example.com';
const PORT = 8081;
let cluster: Cluster;
let client: Client;

beforeAll(async () => {
  cluster = await installedCluster();
  await install(cluster, [`service.h2cPort=${PORT}`]);
  const metadata = { name: 'who', namespace: 'grpc' };
  const labels = { app: 'who' };
  await cluster.kubectl(['create', 'namespace', 'grpc'], { allowFailure: true });
  await cluster.apply([
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata,
      spec: { selector: labels, ports: [{ name: 'grpc', port: 50051, targetPort: 'grpc' }] },
    },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata,
      spec: {
        replicas: 3,
        selector: { matchLabels: labels },
        strategy: { rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } },
        template: {
          metadata: { labels },
          spec: {
            terminationGracePeriodSeconds: 15,
            containers: [
              {
                name: 'who',
                image: 'tidegate/grpc:dev',
                ports: [{ name: 'grpc', containerPort: 50051 }],
                env: [{ name: 'POD_NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } }],
                readinessProbe: { tcpSocket: { port: 'grpc' }, periodSeconds: 1 },
                securityContext: { runAsNonRoot: true, readOnlyRootFilesystem: true, allowPrivilegeEscalation: false },
              },
            ],
          },
        },
      },
    },
    {
      apiVersion: 'tidegate.dev/v1alpha1',
      kind: 'Backend',
      metadata,
      spec: { service: { name: 'who', port: 50051 }, protocol: 'grpc' },
    },
    {
      apiVersion: 'tidegate.dev/v1alpha1',
      kind: 'Route',
      metadata,
      spec: {
        hosts: [HOST],
        rules: [
          {
            name: 'all',
            matches: [{ grpc: { service: 'test.v1.Who' } }],
            backends: [{ name: 'who' }],
            retry: { attempts: 3, retryOn: ['connect', 'reset', 'grpcUnavailable'], methods: ['POST'] },
          },
        ],
      },
    },
  ]);
  await rolled('grpc', 'who');
  await condition(cluster, 'grpc', 'route/who');
  client = new Client(`${new URL(await gatewayUrl(cluster)).hostname}:${PORT}`, credentials.createInsecure(), {
    // With the retries a client has by itself: of streams that a server going away refused, unseen by anybody.
    'grpc.default_authority': HOST,
  });
});
afterAll(() => client?.close());

async function rolled(namespace: string, deployment: string): Promise<void> {
  await cluster.kubectl(['rollout', 'status', '-n', namespace, `deployment/${deployment}`, '--timeout=120s'], {
    timeoutMs: 130_000,
  });
}

/** The pod that answered, or the status. */
function who(): Promise<string> {
  const { path, requestSerialize, responseDeserialize } = WHO.who;
  return new Promise((resolve) => {
    client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      Buffer.from('?'),
      new Metadata(),
      { deadline: Date.now() + 10_000 },
      (error, value) => resolve(error === null ? String(value) : `! ${status[error.code]} ${error.details}`),
    );
  });
}

test('calls of one connection go to all three pods alike', async () => {
  const counts = new Map<string, number>();
  for (let i = 0; i < 300; i++) {
    const pod = await who();
    counts.set(pod, (counts.get(pod) ?? 0) + 1);
  }
  console.log(`grpc: ${[...counts.values()].join(', ')} calls a pod`);
  expect([...counts.keys()].filter((name) => name.startsWith('!'))).toEqual([]);
  expect(counts.size).toBe(3);
  for (const count of counts.values()) expect(count).toBeGreaterThan(60);
});

test('backends and data planes are rolled under load: no call fails', async () => {
  const failures: string[] = [];
  const pods = new Set<string>();
  let calls = 0;
  let stopped = false;
  const load = Promise.all(
    Array.from({ length: 8 }, async () => {
      while (!stopped) {
        const answer = await who();
        calls++;
        if (answer.startsWith('!')) failures.push(answer);
        else pods.add(answer);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    }),
  );
  await cluster.kubectl(['rollout', 'restart', '-n', 'grpc', 'deployment/who']);
  await rolled('grpc', 'who');
  await cluster.kubectl(['rollout', 'restart', '-n', NAMESPACE, 'deployment/tidegate-dataplane']);
  await rolled(NAMESPACE, 'tidegate-dataplane');
  await new Promise((resolve) => setTimeout(resolve, 8000));
  stopped = true;
  await load;
  console.log(`grpc: ${calls} calls, ${failures.length} failed, ${pods.size} pods answered`);
  expect(failures).toEqual([]);
  expect(pods.size).toBe(6);
});
