import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { attachCluster } from './attach.ts';
import { bringUp } from './bring-up.ts';
import { buildPrograms } from './build.ts';
import type { Cluster, ClusterOptions } from './cluster.ts';
import { inNamespace, removeNetworks } from './network.ts';
import { ensurePrograms } from './prerequisites.ts';
import { type Daemon, startDaemon, stopDaemon } from './process.ts';
import { reapRuns } from './reap.ts';
import { createRunDirectory, type RunDirectory, removeRunDirectory } from './run-directory.ts';

const kubeletStopMs = 3_000;

/**
 * Starts a cluster of local processes: etcd, the control plane, kube-proxy, process kubelets and CoreDNS, in a network
 * namespace of its own. Needs root on Linux. It ends with `stop()`, or with this process. Throws when a part does not come
 * up in time or dies on the way; its logs are then kept, and their folder named.
 */
export async function startCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const begin = Date.now();
  const say = (line: string) => options.log?.(`${((Date.now() - begin) / 1_000).toFixed(1).padStart(5)} s  ${line}`);
  if (process.platform !== 'linux' || process.getuid?.() !== 0) {
    throw new Error('a cluster of processes needs Linux and root');
  }
  const bin = await buildPrograms(say);
  await ensurePrograms(say);
  await reapRuns(say);

  const directory = createRunDirectory();
  const daemons: Daemon[] = [];
  // Aborted, with the reason, as soon as the start can't succeed any more.
  const failure = new AbortController();
  options.signal?.addEventListener('abort', () => failure.abort(new Error('cancelled')), { once: true });
  const start = (name: string, argv: readonly string[]) => {
    const logFile = join(directory.path, 'logs', `${name}.log`);
    const daemon = startDaemon(name, inNamespace(directory.networkNamespace, argv), logFile);
    daemon.ended.catch((error) => failure.abort(error));
    daemons.push(daemon);
    const pids = Object.fromEntries(daemons.map(({ name, child }) => [name, child.pid]));
    writeFileSync(join(directory.path, 'pids.json'), JSON.stringify(pids));
  };
  try {
    if (options.signal?.aborted === true) throw new Error('cancelled');
    await bringUp({ directory, bin, options, say, start, signal: failure.signal });
  } catch (error) {
    const cause = failure.signal.aborted ? failure.signal.reason : error;
    const keepLogs = options.signal?.aborted !== true;
    await stopAll(directory, daemons, keepLogs);
    const where = keepLogs ? ` (logs kept in ${join(directory.path, 'logs')})` : '';
    throw new Error(`the cluster did not start${where}: ${(cause as Error).message}`, { cause });
  }
  say('ready');
  for (const daemon of daemons) daemon.ended.catch((error) => say((error as Error).message));

  let stopping: Promise<void> | undefined;
  const stop = () => {
    stopping ??= stopAll(directory, daemons, options.keepLogs === true);
    return stopping;
  };
  return { ...attachCluster(directory.path), ownsCluster: true, stop };
}

async function stopAll(directory: RunDirectory, daemons: readonly Daemon[], keepLogs: boolean): Promise<void> {
  // Kubelets first: they end their containers. The rest has nothing to lose.
  const kubelets = daemons.filter((daemon) => daemon.name.startsWith('kubelet-'));
  await Promise.all(kubelets.map((daemon) => stopDaemon(daemon, kubeletStopMs)));
  await Promise.all(daemons.map((daemon) => stopDaemon(daemon, 0)));
  await removeNetworks(directory.networkNamespace);
  if (!keepLogs) removeRunDirectory(directory);
}
