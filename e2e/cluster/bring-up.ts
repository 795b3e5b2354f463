import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { addonImages, addonManifest } from './addons.ts';
import type { ClusterOptions } from './cluster.ts';
import * as components from './components.ts';
import { writeImages } from './images.ts';
import type { KubeletConfig } from './kubelet/config.ts';
import { addresses, createNodeNetwork, inNamespace } from './network.ts';
import { run, until } from './process.ts';
import type { RunDirectory } from './run-directory.ts';
import { readVersions } from './versions.ts';

const apiServerReadyMs = 60_000;
const nodesReadyMs = 60_000;
const dnsReadyMs = 60_000;

/** What the steps of a start share. */
export interface BringUp {
  directory: RunDirectory;
  /** Folder of the built programs. */
  bin: string;
  options: ClusterOptions;
  say: (line: string) => void;
  /** Starts a program of the cluster in its network namespace. */
  start: (name: string, argv: readonly string[]) => void;
  /** Ends the waiting when the start can't succeed any more. */
  signal: AbortSignal;
}

/** Starts the parts of a cluster in their order and waits for each until it serves. */
export async function bringUp(context: BringUp): Promise<void> {
  const { directory, bin, options, say } = context;
  const nodeNames = Array.from({ length: options.nodes ?? 2 }, (_, i) => `node-${i + 1}`);
  writeFileSync(join(directory.path, 'bin.txt'), bin);
  writeImages(directory.path, { ...addonImages(bin), ...(options.images ?? {}) });
  const [ids] = await Promise.all([
    components.createIdentities(directory.path, nodeNames),
    createNodeNetwork(directory.networkNamespace, nodeNames.length),
  ]);
  say(`network namespace ${directory.networkNamespace}, certificates`);
  await startApiServer(context, ids);
  say('etcd and kube-apiserver ready');
  await startControllers(context, ids);
  for (const node of ids.nodes) startKubelet(context, ids, node);
  await nodesReady(context, ids);
  say(`${nodeNames.length} Nodes ready`);
  await dnsReady(context, ids);
  say('cluster DNS answers');
}

async function startApiServer({ directory, bin, start, signal }: BringUp, ids: components.Identities): Promise<void> {
  start('etcd', [join(bin, 'etcd'), ...components.etcdArguments(directory.path)]);
  start('kube-apiserver', [join(bin, 'kube-apiserver'), ...components.apiServerArguments(ids)]);
  const pki = join(directory.path, 'pki');
  const curl = [
    ...['curl', '-sf', '-m', '2', '-o', '/dev/null', '--cacert', ids.authority.cert],
    ...['--cert', join(pki, 'admin.crt'), '--key', join(pki, 'admin.key'), `${components.apiServerUrl}/readyz`],
  ];
  const ready = async () =>
    (await run(inNamespace(directory.networkNamespace, curl), { allowFailure: true })).code === 0;
  await until('kube-apiserver ready', ready, apiServerReadyMs, 150, signal);
}

async function startControllers(context: BringUp, ids: components.Identities): Promise<void> {
  const { directory, bin, options, start } = context;
  start('kube-controller-manager', [
    join(bin, 'kube-controller-manager'),
    ...components.controllerManagerArguments(ids, {
      hpaSyncPeriodMs: options.hpaSyncPeriodMs ?? 2_000,
      hpaDownscaleStabilizationMs: options.hpaDownscaleStabilizationMs ?? 10_000,
    }),
  ]);
  start('kube-scheduler', [join(bin, 'kube-scheduler'), ...components.schedulerArguments(ids)]);
  await kubectl(context, ids, ['apply', '--server-side', '-f', '-'], { input: JSON.stringify(addonManifest) });
  start('kube-proxy', [join(bin, 'kube-proxy'), ...components.proxyArguments(directory.path, ids)]);
}

function startKubelet(
  { directory, options, start }: BringUp,
  ids: components.Identities,
  node: components.Identities['nodes'][number],
): void {
  const home = join(directory.path, 'nodes', node.name);
  mkdirSync(home);
  const config: KubeletConfig = {
    nodeName: node.name,
    version: `${readVersions().kubernetes}-process`,
    address: node.address,
    runDirectory: directory.path,
    home,
    networkNamespace: directory.networkNamespace,
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
  const file = join(home, 'config.json');
  writeFileSync(file, JSON.stringify(config, null, 2));
  start(`kubelet-${node.name}`, [process.execPath, join(import.meta.dirname, 'kubelet', 'main.ts'), file]);
}

async function nodesReady(context: BringUp, ids: components.Identities): Promise<void> {
  const statuses = 'jsonpath={.items[*].status.conditions[?(@.type=="Ready")].status}';
  const ready = async () => {
    const text = await kubectl(context, ids, ['get', 'nodes', '-o', statuses]);
    return text.split(' ').filter((status) => status === 'True').length === ids.nodes.length;
  };
  await until('all Nodes ready', ready, nodesReadyMs, 250, context.signal);
}

async function dnsReady(context: BringUp, ids: components.Identities): Promise<void> {
  const rollout = ['-n', 'kube-system', 'rollout', 'status', 'deployment/coredns', `--timeout=${dnsReadyMs / 1_000}s`];
  await kubectl(context, ids, rollout, { timeoutMs: dnsReadyMs + 5_000 });
  const name = `kubernetes.default.svc.${addresses.domain}`;
  const lookUp = ['ip', 'netns', 'exec', context.directory.networkNamespace, 'getent', 'ahostsv4', name];
  const answers = async () => {
    const { stdout } = await run(lookUp, { allowFailure: true, timeoutMs: 15_000 });
    return stdout.includes(addresses.kubernetesService);
  };
  await until('the cluster DNS answers', answers, dnsReadyMs, 250, context.signal);
}

async function kubectl(
  { directory, bin, signal }: BringUp,
  ids: components.Identities,
  args: readonly string[],
  options: { input?: string; timeoutMs?: number } = {},
): Promise<string> {
  const argv = [join(bin, 'kubectl'), `--kubeconfig=${ids.kubeconfigs.admin}`, ...args];
  const { stdout } = await run(inNamespace(directory.networkNamespace, argv), {
    timeoutMs: 20_000,
    ...options,
    signal,
  });
  return stdout;
}
