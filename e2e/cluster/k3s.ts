import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { clusterCommands } from './attach.ts';
import { buildPrograms } from './build.ts';
import type { Cluster, ClusterOptions } from './cluster.ts';

const image = 'rancher/k3s:v1.34.1-k3s1';
const startTimeoutMs = 180_000;

/** True where a Docker daemon seems to be reachable. */
export function hasDocker(): boolean {
  return process.env.DOCKER_HOST !== undefined || existsSync('/var/run/docker.sock');
}

/** A k3s cluster in a container. Its pods need real images: `images` of the options have no meaning here. */
export async function startK3s(options: ClusterOptions = {}): Promise<Cluster> {
  const bin = await buildPrograms(options.log);
  const { K3sContainer } = await import('@testcontainers/k3s');
  const container = await new K3sContainer(image).withStartupTimeout(startTimeoutMs).start();
  const directory = mkdtempSync(join(tmpdir(), 'tidegate-k3s-'));
  const kubeconfig = join(directory, 'kubeconfig');
  writeFileSync(kubeconfig, container.getKubeConfig(), { mode: 0o600 });
  return {
    ...clusterCommands({
      kubeconfig,
      kubectlPath: join(bin, 'kubectl'),
      helmPath: join(bin, 'helm'),
      inside: (argv) => [...argv],
    }),
    kind: 'k3s',
    ownsCluster: true,
    addImages: () => {
      throw new Error('k3s runs real images: build them and load them with ctr');
    },
    stop: async () => {
      await container.stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
