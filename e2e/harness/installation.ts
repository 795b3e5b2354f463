/** Tidegate as a user installs it: both charts by helm, the images being this checkout's compiled programs. */
import path from 'node:path';
import { acquireCluster } from '../cluster/acquire.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { nodeImage } from '../cluster/images.ts';
import { until } from '../cluster/process.ts';

export const NAMESPACE = 'tidegate';
export const RELEASE = 'tidegate';
const ROOT = path.resolve(import.meta.dirname, '../..');
const USER = '65532:65532';

const program = (file: string) => nodeImage({ folder: ROOT, arguments: [`/app/${file}`], user: USER });
const IMAGES = {
  'tidegate/controller:dev': program('controller/dist/main.js'),
  'tidegate/dataplane:dev': program('dataplane/dist/main.js'),
  'tidegate/echo:dev': program('e2e/harness/echo.ts'),
  'tidegate/grpc:dev': program('e2e/grpc/server.ts'),
  'tidegate/tls:dev': program('e2e/tls/server.ts'),
};

export interface PodObject {
  metadata: { name: string; deletionTimestamp?: string };
  status: { podIP?: string; conditions?: { type: string; status: string }[] };
}

/** A cluster with Tidegate in it; installs what is missing, so that any scenario can be run alone. */
export async function installedCluster(): Promise<Cluster> {
  const cluster = await acquireCluster({ images: IMAGES, log: console.log });
  await cluster.helm(['upgrade', '--install', `${RELEASE}-crds`, path.join(ROOT, 'charts/tidegate-crds')]);
  await install(cluster);
  return cluster;
}

/** `helm upgrade --install` with the values of the scenarios and those given (`--set` form), waiting for readiness. */
export async function install(cluster: Cluster, set: readonly string[] = []): Promise<string> {
  const values = path.join(import.meta.dirname, 'values.yaml');
  return cluster.helm(
    [
      ...['upgrade', '--install', RELEASE, path.join(ROOT, 'charts/tidegate'), '-n', NAMESPACE, '--create-namespace'],
      ...['-f', values, '--wait', '--timeout', '90s', ...set.flatMap((pair) => ['--set', pair])],
    ],
    { timeoutMs: 120_000 },
  );
}

/** The gateway's address inside the cluster. */
export async function gatewayUrl(cluster: Cluster): Promise<string> {
  const address = await cluster.kubectl([
    ...['get', 'service', '-n', NAMESPACE, `${RELEASE}-dataplane`, '-o', 'jsonpath={.spec.clusterIP}'],
  ]);
  return `http://${address.trim()}`;
}

export async function podsOf(cluster: Cluster, component: 'controller' | 'dataplane'): Promise<PodObject[]> {
  const { items } = await cluster.get<{ items: PodObject[] }>([
    ...['pods', '-n', NAMESPACE, '-l', `app.kubernetes.io/component=${component}`],
  ]);
  return items.filter((pod) => pod.metadata.deletionTimestamp === undefined);
}

/** A Deployment of the echo backend with its Service; waits until all replicas are ready. */
export async function echo(cluster: Cluster, namespace: string, name: string, replicas: number): Promise<void> {
  await cluster.kubectl(['create', 'namespace', namespace], { allowFailure: true });
  const labels = { app: name };
  await cluster.apply([
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name, namespace },
      spec: { selector: labels, ports: [{ name: 'http', port: 8080, targetPort: 'http' }] },
    },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name, namespace },
      spec: {
        replicas,
        selector: { matchLabels: labels },
        strategy: { rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } },
        template: {
          metadata: { labels },
          spec: {
            terminationGracePeriodSeconds: 15,
            containers: [
              {
                name: 'echo',
                image: 'tidegate/echo:dev',
                ports: [{ name: 'http', containerPort: 8080 }],
                env: [{ name: 'POD_NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } }],
                readinessProbe: { httpGet: { path: '/', port: 'http' }, periodSeconds: 1 },
                securityContext: { runAsNonRoot: true, readOnlyRootFilesystem: true, allowPrivilegeEscalation: false },
              },
            ],
          },
        },
      },
    },
  ]);
  await cluster.kubectl(['rollout', 'status', '-n', namespace, `deployment/${name}`, '--timeout=60s'], {
    timeoutMs: 70_000,
  });
}

const API_VERSION = 'tidegate.dev/v1alpha1';
export const backend = (namespace: string, name: string) => ({
  apiVersion: API_VERSION,
  kind: 'Backend',
  metadata: { name, namespace },
  spec: { service: { name, port: 8080 } },
});
export const route = (namespace: string, name: string, host: string, rules: readonly object[] = [TO_ECHO]) => ({
  apiVersion: API_VERSION,
  kind: 'Route',
  metadata: { name, namespace },
  spec: { hosts: [host], rules },
});
/** A rule for everything on its host. */
export const TO_ECHO = { name: 'all', backends: [{ name: 'echo' }] };

/** The scene of most scenarios: echo pods behind a Backend and a Route for one host. Waits until it is programmed; gives the gateway's URL. */
export async function serveEcho(cluster: Cluster, namespace: string, replicas: number, host: string): Promise<string> {
  await echo(cluster, namespace, 'echo', replicas);
  await cluster.apply([backend(namespace, 'echo'), route(namespace, 'echo', host)]);
  await condition(cluster, namespace, 'route/echo');
  return gatewayUrl(cluster);
}

/** Status and body of one request by curl, from inside the cluster's network. */
export async function curl(
  cluster: Cluster,
  url: string,
  ...args: string[]
): Promise<{ status: number; body: string; text: string }> {
  const { stdout } = await cluster.exec(['curl', '-sS', '-i', '-m', '10', ...args, url]);
  const head = stdout.slice(0, stdout.indexOf('\r\n\r\n'));
  return { status: Number(head.split(' ')[1]), body: stdout.slice(head.length + 4), text: stdout };
}

/** Waits until `kubectl get KIND NAME` shows Programmed=True (or the given condition and status). */
export async function condition(
  cluster: Cluster,
  namespace: string,
  object: string,
  type = 'Programmed',
  status: 'True' | 'False' = 'True',
): Promise<{ reason: string; message: string; observedGeneration: number }> {
  let found: { type: string; status: string; reason: string; message: string; observedGeneration: number } | undefined;
  await until(
    `${object} ${type}=${status}`,
    async () => {
      const { metadata, status: state } = await cluster.get<{
        metadata: { generation: number };
        status?: { conditions?: (typeof found & object)[] };
      }>(['-n', namespace, object]);
      found = state?.conditions?.find((c) => c.type === type);
      return found?.status === status && found.observedGeneration === metadata.generation;
    },
    30_000,
  );
  return found as NonNullable<typeof found>;
}

/** `tidegate explain … --kube` as an operator runs it, through the API server's pod proxy. */
export async function tidegateExplain(cluster: Cluster, ...args: string[]): Promise<{ text: string; code: number }> {
  const cli = path.join(ROOT, 'controller/dist/cli/main.js');
  const { stdout, stderr, code } = await cluster.exec(
    [process.execPath, cli, 'explain', ...args, '--kube', '-n', NAMESPACE],
    { allowFailure: true },
  );
  return { text: stdout + stderr, code };
}

/** `tidegate status -o json` through the API server's service proxy, as an operator runs it. */
export async function tidegateStatus(cluster: Cluster, output: 'json' | 'text'): Promise<string> {
  const cli = path.join(ROOT, 'controller/dist/cli/main.js');
  const { stdout } = await cluster.exec([process.execPath, cli, 'status', '--kube', '-n', NAMESPACE, '-o', output], {
    allowFailure: true,
  });
  return stdout;
}
