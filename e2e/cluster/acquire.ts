import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { attachCluster, clusterCommands } from './attach.ts';
import { buildPrograms } from './build.ts';
import type { Cluster, ClusterOptions } from './cluster.ts';
import { hasDocker, startK3s } from './k3s.ts';
import { startCluster } from './process-cluster.ts';

const ways = `no Kubernetes cluster to test on. There are three ways:
  1. TIDEGATE_E2E_KUBECONFIG=FILE (or KUBECONFIG with TIDEGATE_E2E_USE_KUBECONFIG=1): a cluster of yours, which the tests write to
  2. Linux and root: a cluster of local processes (etcd, the control plane and the kubelets), nothing else needed
  3. a running Docker daemon: k3s in a container`;

/**
 * A cluster to test on: the running one this program was started in (`main.ts run` and `exec`), else one given by the
 * environment, else one of local processes, else k3s. Options count for a cluster that is started here; images are
 * added in any case where the cluster takes them. Throws with the list of ways when there is none.
 */
export async function acquireCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const running = process.env.TIDEGATE_E2E_RUN;
  if (running !== undefined && running !== '') {
    const cluster = attachCluster(running);
    cluster.addImages(options.images ?? {});
    return cluster;
  }
  const kubeconfig = givenKubeconfig();
  if (kubeconfig !== undefined) return externalCluster(kubeconfig, options);
  if (process.platform === 'linux' && process.getuid?.() === 0) return startCluster(options);
  if (hasDocker()) return startK3s(options);
  throw new Error(ways);
}

/** KUBECONFIG alone is not enough: tests must not fall on the cluster somebody happens to work with. */
function givenKubeconfig(): string | undefined {
  const own = process.env.TIDEGATE_E2E_KUBECONFIG;
  if (own !== undefined && own !== '') return own;
  const general = process.env.KUBECONFIG;
  return process.env.TIDEGATE_E2E_USE_KUBECONFIG === '1' && general !== undefined && general !== ''
    ? general
    : undefined;
}

async function externalCluster(file: string, options: ClusterOptions): Promise<Cluster> {
  const kubeconfig = resolve(file);
  if (!existsSync(kubeconfig)) throw new Error(`kubeconfig ${kubeconfig} does not exist`);
  const bin = await buildPrograms(options.log);
  const commands = clusterCommands({
    kubeconfig,
    kubectlPath: join(bin, 'kubectl'),
    helmPath: join(bin, 'helm'),
    inside: (argv) => [...argv],
  });
  await commands.kubectl(['version', '--request-timeout=10s']);
  return {
    ...commands,
    kind: 'external',
    ownsCluster: false,
    addImages: () => {
      throw new Error('an external cluster pulls real images: push them where it finds them');
    },
    stop: async () => undefined,
  };
}
