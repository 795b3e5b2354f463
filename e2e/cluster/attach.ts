import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Cluster } from './cluster.ts';
import { type ImageTable, readImages, writeImages } from './images.ts';
import { inNamespaceWithDns } from './network.ts';
import { type RunOptions, run } from './process.ts';
import { readRunDirectory } from './run-directory.ts';

const commandTimeoutMs = 60_000;

/** What the commands of every kind of cluster need to know. */
interface Access {
  kubeconfig: string;
  kubectlPath: string;
  helmPath: string;
  inside: (argv: readonly string[]) => string[];
}

type Commands = Pick<
  Cluster,
  'kubeconfig' | 'kubectlPath' | 'helmPath' | 'inside' | 'env' | 'exec' | 'kubectl' | 'helm' | 'apply' | 'get'
>;

/** The part of a Cluster that runs programs against it. */
export function clusterCommands(access: Access): Commands {
  const env = (): NodeJS.ProcessEnv => ({
    ...process.env,
    KUBECONFIG: access.kubeconfig,
    PATH: [dirname(access.kubectlPath), dirname(process.execPath), process.env.PATH ?? ''].join(':'),
  });
  const exec = (argv: readonly string[], options: RunOptions = {}) =>
    run(access.inside(argv), { timeoutMs: commandTimeoutMs, ...options, env: { ...env(), ...options.env } });
  const kubectl = async (args: readonly string[], options?: RunOptions) =>
    (await exec([access.kubectlPath, ...args], options)).stdout;
  return {
    ...access,
    env,
    exec,
    kubectl,
    helm: async (args, options) => (await exec([access.helmPath, ...args], options)).stdout,
    apply: (manifest, options) =>
      kubectl(['apply', '--server-side', '-f', '-'], {
        ...options,
        input: typeof manifest === 'string' ? manifest : asList(manifest),
      }),
    get: async <T>(args: readonly string[], options?: RunOptions) =>
      JSON.parse(await kubectl(['get', ...args, '-o', 'json'], options)) as T,
  };
}

/** A cluster of processes that runs already, of this or of another process. */
export function attachCluster(runDirectory: string): Cluster {
  const { networkNamespace } = readRunDirectory(runDirectory);
  const bin = readFileSync(join(runDirectory, 'bin.txt'), 'utf8').trim();
  return {
    ...clusterCommands({
      kubeconfig: join(runDirectory, 'kubeconfigs', 'admin'),
      kubectlPath: join(bin, 'kubectl'),
      helmPath: join(bin, 'helm'),
      inside: (argv) => inNamespaceWithDns(networkNamespace, argv),
    }),
    kind: 'processes',
    networkNamespace,
    runDirectory,
    ownsCluster: false,
    addImages: (images: ImageTable) => writeImages(runDirectory, { ...readImages(runDirectory), ...images }),
    stop: async () => undefined,
  };
}

function asList(manifest: object | readonly object[]): string {
  return JSON.stringify(Array.isArray(manifest) ? { apiVersion: 'v1', kind: 'List', items: manifest } : manifest);
}
