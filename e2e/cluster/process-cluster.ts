import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { addonImages, addonManifest } from './addons.ts';
import { attachCluster } from './attach.ts';
import { buildPrograms } from './build.ts';
import type { Cluster, ClusterOptions } from './cluster.ts';
import * as components from './components.ts';
import { writeImages } from './images.ts';
import type { KubeletConfig } from './kubelet/config.ts';
import { addresses, createNodeNetwork, inNamespace, removeNetworks } from './network.ts';
import { ensurePrograms } from './prerequisites.ts';
import { type Daemon, run, startDaemon, stopDaemon, until } from './process.ts';
import { reapRuns } from './reap.ts';
import { createRunDirectory, type RunDirectory, removeRunDirectory } from './run-directory.ts';

const apiServerReadyMs = 60_000;
const nodesReadyMs = 60_000;
const dnsReadyMs = 60_000;

/**
 * Starts a cluster of local processes: etcd, the control plane, kube-proxy, process kubelets and CoreDNS, in a network
 * namespace of its own. Needs root on Linux. It ends with `stop()`, or with this process.
 */
export async function startCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const begin = Date.now();
  const log = options.log ?? (() => undefined);
  const say = (line: string) => log(`${((Date.now() - begin) / 1_000).toFixed(1).padStart(5)} s  ${line}`);
  if (process.platform !== 'linux' || process.getuid?.() !== 0)
    throw new Error('a cluster of processes needs Linux and root');
  const bin = await buildPrograms(say);
  await ensurePrograms(say);
  await reapRuns(say);

  const directory = createRunDirectory();
  const daemons: Daemon[] = [];
  let stopping: Promise<void> | undefined;
  const stop = () => {
    stopping ??= stopAll(directory, daemons, options.keepLogs === true);
    return stopping;
  };
  try {
    await bringUp(directory, daemons, bin, options, say);
  } catch (error) {
    await stopAll(directory, daemons, true);
    throw new Error(
      `the cluster did not start (logs kept in ${join(directory.path, 'logs')}): ${(error as Error).message}`,
      { cause: error },
    );
  }
  say('ready');
  for (const daemon of daemons) daemon.ended.catch((error) => say((error as Error).message));
  return { ...attachCluster(directory.path), ownsCluster: true, stop };
}

async function bringUp(
  directory: RunDirectory,
  daemons: Daemon[],
  bin: string,
  options: ClusterOptions,
  say: (line: string) => void,
): Promise<void> {
  const namespace = directory.networkNamespace;
  const nodeNames = Array.from({ length: options.nodes ?? 2 }, (_, i) => `node-${i + 1}`);
  writeFileSync(join(directory.path, 'bin.txt'), bin);
  writeImages(directory.path, { ...addonImages(bin), ...(options.images ?? {}) });
  const [ids] = await Promise.all([
    components.createIdentities(directory.path, nodeNames),
    createNodeNetwork(namespace, nodeNames.length),
  ]);
  say(`network namespace ${namespace}, certificates`);

  const start = (name: string, argv: readonly string[]) => {
    const daemon = startDaemon(name, inNamespace(namespace, argv), join(directory.path, 'logs', `${name}.log`));
    daemons.push(daemon);
    writeFileSync(
      join(directory.path, 'pids.json'),
      JSON.stringify(daemons.map((d) => ({ name: d.name, pid: d.child.pid }))),
    );
    return daemon;
  };
  const program = (name: string) => join(bin, name);
  const watched = <T>(work: Promise<T>) => Promise.race([work, ...daemons.map((daemon) => daemon.ended)]);
  const kubectl = (args: readonly string[], input?: string) =>
    run(inNamespace(namespace, [program('kubectl'), `--kubeconfig=${ids.kubeconfigs.admin}`, ...args]), {
      timeoutMs: 20_000,
      input,
    });

  start('etcd', [program('etcd'), ...components.etcdArguments(directory.path)]);
  start('kube-apiserver', [program('kube-apiserver'), ...components.apiServerArguments(ids)]);
  const curlReady = [
    ...[
      'curl',
      '-sf',
      '-m',
      '2',
      '-o',
      '/dev/null',
      '--cacert',
      ids.authority.cert,
      '--cert',
      `${join(directory.path, 'pki', 'admin.crt')}`,
    ],
    ...['--key', join(directory.path, 'pki', 'admin.key'), `${components.apiServerUrl}/readyz`],
  ];
  await watched(
    until(
      'kube-apiserver ready',
      async () => (await run(inNamespace(namespace, curlReady), { allowFailure: true })).code === 0,
      apiServerReadyMs,
      150,
    ),
  );
  say('etcd and kube-apiserver ready');

  start('kube-controller-manager', [
    program('kube-controller-manager'),
    ...components.controllerManagerArguments(ids, {
      hpaSyncPeriodMs: options.hpaSyncPeriodMs ?? 2_000,
      hpaDownscaleStabilizationMs: options.hpaDownscaleStabilizationMs ?? 10_000,
    }),
  ]);
  start('kube-scheduler', [program('kube-scheduler'), ...components.schedulerArguments(ids)]);
  await watched(kubectl(['apply', '--server-side', '-f', '-'], JSON.stringify(addonManifest)));
  start('kube-proxy', [program('kube-proxy'), ...components.proxyArguments(directory.path, ids)]);
  for (const node of ids.nodes) {
    const home = join(directory.path, 'nodes', node.name);
    mkdirSync(home);
    const config: KubeletConfig = {
      nodeName: node.name,
      address: node.address,
      runDirectory: directory.path,
      home,
      networkNamespace: namespace,
      server: components.apiServerUrl,
      authorityFile: ids.authority.cert,
      certFile: node.certificate.cert,
      keyFile: node.certificate.key,
      clusterDns: addresses.dnsService,
      clusterDomain: addresses.domain,
      zone: `zone-${node.name}`,
      restartBackoffMs: options.restartBackoffMs ?? 10_000,
      restartBackoffMaxMs: options.restartBackoffMaxMs ?? 300_000,
    };
    writeFileSync(join(home, 'config.json'), JSON.stringify(config, null, 2));
    start(`kubelet-${node.name}`, [
      process.execPath,
      join(import.meta.dirname, 'kubelet', 'main.ts'),
      join(home, 'config.json'),
    ]);
  }
  await watched(
    until(
      'Nodes ready',
      async () => {
        const { stdout } = await kubectl([
          'get',
          'nodes',
          '-o',
          'jsonpath={.items[*].status.conditions[?(@.type=="Ready")].status}',
        ]);
        return (
          stdout
            .trim()
            .split(' ')
            .filter((status) => status === 'True').length === nodeNames.length
        );
      },
      nodesReadyMs,
    ),
  );
  say(`${nodeNames.length} Nodes ready`);
  await watched(
    kubectl(['-n', 'kube-system', 'rollout', 'status', 'deployment/coredns', `--timeout=${dnsReadyMs / 1_000}s`]).catch(
      explainDns,
    ),
  );
  await watched(
    until(
      'DNS answers',
      async () => {
        const lookUp = ['getent', 'ahostsv4', `kubernetes.default.svc.${addresses.domain}`];
        const { stdout } = await run(['ip', 'netns', 'exec', namespace, ...lookUp], {
          allowFailure: true,
          timeoutMs: 15_000,
        });
        return stdout.includes(addresses.kubernetesService);
      },
      dnsReadyMs,
    ),
  );
  say('cluster DNS answers');
}

function explainDns(error: unknown): never {
  throw new Error(`CoreDNS did not become ready: ${(error as Error).message}`);
}

async function stopAll(directory: RunDirectory, daemons: readonly Daemon[], keepLogs: boolean): Promise<void> {
  // Kubelets first: they end their containers. The rest has nothing to lose.
  const kubelets = daemons.filter((daemon) => daemon.name.startsWith('kubelet-'));
  await Promise.all(kubelets.map((daemon) => stopDaemon(daemon, 3_000)));
  await Promise.all(daemons.map((daemon) => stopDaemon(daemon, 0)));
  await removeNetworks(directory.networkNamespace);
  if (!keepLogs) removeRunDirectory(directory);
}
