/** Routes as objects of a Kubernetes API server; a write is confirmed by its 201. */
import { setTimeout as sleep } from 'node:timers/promises';
import { CustomObjectsApi, KubeConfig } from '@kubernetes/client-node';
import type { NewRoute, Target } from './target.ts';

const KIND = { group: 'tidegate.dev', version: 'v1alpha1', plural: 'routes' };
const SETTLED_TIMEOUT_MS = 180_000;

interface RouteObject {
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}

/** Needs a Backend named `backend` in the namespace. */
export async function kubernetesTarget(namespace: string): Promise<Target> {
  const config = new KubeConfig();
  config.loadFromDefault();
  const api = config.makeApiClient(CustomObjectsApi);
  const add = async (route: NewRoute) => {
    await api.createNamespacedCustomObject({
      ...KIND,
      namespace,
      body: {
        apiVersion: `${KIND.group}/${KIND.version}`,
        kind: 'Route',
        metadata: { name: route.name, namespace },
        spec: {
          rules: [{ name: 'all', matches: [{ path: { prefix: route.prefix } }], backends: [{ name: 'backend' }] }],
        },
      },
    });
    return performance.now();
  };
  const programmed = async (): Promise<boolean> => {
    const { items } = (await api.listNamespacedCustomObject({ ...KIND, namespace })) as { items: RouteObject[] };
    return items.every(({ status }) =>
      status?.conditions?.some(({ type, status: value }) => type === 'Programmed' && value === 'True'),
    );
  };
  return {
    addMany: async (routes) => {
      const left = [...routes];
      // a few at a time, as kubectl apply of a large file would be slower and thousands at once would be refused
      const worker = async () => {
        for (let route = left.shift(); route !== undefined; route = left.shift()) await add(route);
      };
      await Promise.all(Array.from({ length: 8 }, worker));
    },
    add,
    settled: async () => {
      const deadline = performance.now() + SETTLED_TIMEOUT_MS;
      while (!(await programmed())) {
        if (performance.now() > deadline) throw new Error('the routes are not all Programmed after 3 minutes');
        await sleep(1000);
      }
    },
  };
}
