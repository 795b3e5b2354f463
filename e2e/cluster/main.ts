import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { attachCluster } from './attach.ts';
import type { ClusterOptions } from './cluster.ts';
import type { ImageTable } from './images.ts';
import { startCluster } from './process-cluster.ts';
import { reapRuns, stopRun } from './reap.ts';
import { hasLivingOwner, listRunDirectories, type RunDirectory } from './run-directory.ts';

const help = `A Kubernetes cluster of local processes: real etcd, kube-apiserver, controller-manager, scheduler, kube-proxy and CoreDNS;
pods run as processes. Needs root on Linux. Everything lives in one network namespace and goes away with it.

usage: node e2e/cluster/main.ts COMMAND [options]

  up [options]
        start a cluster and stay until Ctrl-C
        --images FILE            JSON: image name → {command, args, env, workingDir, user, mounts: [{source, target}]};
                                 sources are relative to FILE
        --nodes N                number of Nodes (2)
        --hpa-sync-ms MS         how often the HPA controller looks (2000; a real cluster: 15000)
        --hpa-downscale-ms MS    how long the HPA remembers a higher need (10000; a real cluster: 300000)
        --restart-backoff-ms MS  first wait before a crashed container starts again, then doubled (10000)
        --keep-logs              keep the run's folder with the logs at the end
  run [the options of up] -- PROGRAM [ARGUMENT …]
        start a cluster, run the program inside, stop the cluster; exit code of the program
  exec [--run ID] -- PROGRAM [ARGUMENT …]
        run a program in a running cluster's network, with KUBECONFIG and PATH (kubectl, helm) set; a shell when none is given
  status
        list the clusters of this machine
  down [--run ID | --all]
        remove what interrupted clusters left behind, and stop the running one
`;

const { values, positionals, tokens } = parseArgs({
  allowPositionals: true,
  tokens: true,
  options: {
    help: { type: 'boolean', short: 'h' },
    images: { type: 'string' },
    nodes: { type: 'string' },
    'hpa-sync-ms': { type: 'string' },
    'hpa-downscale-ms': { type: 'string' },
    'restart-backoff-ms': { type: 'string' },
    run: { type: 'string' },
    all: { type: 'boolean' },
    'keep-logs': { type: 'boolean' },
  },
});
const command = positionals[0];
const separator = tokens.find((token) => token.kind === 'option-terminator');
const program = separator === undefined ? positionals.slice(1) : process.argv.slice(2 + separator.index + 1);

try {
  process.exitCode = await main();
} catch (error) {
  console.error(`error: ${(error as Error).message}`);
  process.exitCode = 1;
}

async function main(): Promise<number> {
  if (values.help === true || command === undefined) {
    console.log(help);
    return values.help === true ? 0 : 2;
  }
  switch (command) {
    case 'up':
      return up();
    case 'run':
      return up(program);
    case 'exec':
      return runInside(pickRun(), program.length > 0 ? program : [process.env.SHELL ?? 'bash']);
    case 'status':
      return status();
    case 'down':
      return down();
    default:
      console.error(`unknown command ${command}\n\n${help}`);
      return 2;
  }
}

async function up(argv?: readonly string[]): Promise<number> {
  if (argv?.length === 0) throw new Error('run: no program given (… run -- PROGRAM)');
  const interruption = new AbortController();
  const interrupted = new Promise<number>((resolve) => {
    interruption.signal.addEventListener('abort', () => resolve(130), { once: true });
  });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => interruption.abort());
  const cluster = await startCluster({
    signal: interruption.signal,
    images: values.images === undefined ? {} : imagesFrom(values.images),
    keepLogs: values['keep-logs'] === true,
    log: (line) => console.log(line),
    ...numberOption('nodes', 'nodes', 1, 10),
    ...numberOption('hpaSyncPeriodMs', 'hpa-sync-ms', 100, 60_000),
    ...numberOption('hpaDownscaleStabilizationMs', 'hpa-downscale-ms', 0, 3_600_000),
    ...numberOption('restartBackoffMs', 'restart-backoff-ms', 10, 300_000),
  });
  const directory = cluster.runDirectory ?? '';
  try {
    if (argv !== undefined) return await Promise.race([spawnInside(directory, argv), interrupted]);
    const self = `node ${process.argv[1]}`;
    console.log(`
kubeconfig  ${cluster.kubeconfig}   (its server is reachable in network namespace ${cluster.networkNamespace} only)
logs        ${join(directory, 'logs')}

next, in another terminal:
  ${self} exec                                  a shell in the cluster's network, with kubectl and helm
  ${self} exec -- kubectl get pods -A -o wide
  ${self} exec -- curl -k https://kubernetes.default.svc.cluster.local/version

Ctrl-C stops the cluster.`);
    return await interrupted;
  } finally {
    console.log('stopping the cluster');
    await cluster.stop();
  }
}

function numberOption<K extends keyof ClusterOptions>(
  key: K,
  flag: 'nodes' | 'hpa-sync-ms' | 'hpa-downscale-ms' | 'restart-backoff-ms',
  min: number,
  max: number,
): Partial<Record<K, number>> {
  const text = values[flag];
  if (text === undefined) return {};
  const number = Number(text);
  if (!Number.isInteger(number) || number < min || number > max)
    throw new Error(`--${flag}: a whole number from ${min} to ${max}`);
  return { [key]: number } as Record<K, number>;
}

function imagesFrom(file: string): ImageTable {
  const table = JSON.parse(readFileSync(file, 'utf8')) as ImageTable;
  const base = dirname(resolve(file));
  return Object.fromEntries(
    Object.entries(table).map(([name, image]) => [
      name,
      { ...image, mounts: (image.mounts ?? []).map((mount) => ({ ...mount, source: resolve(base, mount.source) })) },
    ]),
  );
}

function pickRun(): RunDirectory {
  const running = listRunDirectories().filter(hasLivingOwner);
  const wanted = values.run;
  const found = wanted === undefined ? running.at(-1) : running.find(({ id }) => id === wanted);
  if (found === undefined)
    throw new Error(wanted === undefined ? 'no cluster runs: start one with "up"' : `no running cluster ${wanted}`);
  return found;
}

function runInside(directory: RunDirectory, argv: readonly string[]): Promise<number> {
  return spawnInside(directory.path, argv);
}

function spawnInside(runDirectory: string, argv: readonly string[]): Promise<number> {
  const cluster = attachCluster(runDirectory);
  const [file = '', ...args] = cluster.inside(argv);
  return new Promise((resolveCode, reject) => {
    const child = spawn(file, args, { stdio: 'inherit', env: { ...cluster.env(), TIDEGATE_E2E_RUN: runDirectory } });
    child.on('error', reject);
    child.on('exit', (code, signal) => resolveCode(code ?? (signal === null ? 1 : 130)));
  });
}

function status(): number {
  const runs = listRunDirectories();
  if (runs.length === 0) console.log('no clusters');
  for (const { id, path, networkNamespace, ownerPid, startedAt, ...rest } of runs) {
    const state = hasLivingOwner({ id, path, networkNamespace, ownerPid, startedAt, ...rest })
      ? `runs (process ${ownerPid})`
      : 'left behind';
    console.log(`${id}  ${state}  since ${startedAt}  namespace ${networkNamespace}  ${path}`);
  }
  return 0;
}

async function down(): Promise<number> {
  await reapRuns(console.log);
  const running = listRunDirectories().filter(hasLivingOwner);
  const wanted = running.filter(({ id }) => values.run === undefined || id === values.run);
  if (values.run !== undefined && wanted.length === 0) throw new Error(`no running cluster ${values.run}`);
  // Another person's or another test's cluster is not stopped by accident.
  if (wanted.length > 1 && values.all !== true) {
    status();
    throw new Error('several clusters run: name one with --run ID, or stop them with --all');
  }
  for (const directory of wanted) await stopRun(directory, console.log);
  console.log(`${wanted.length} ${wanted.length === 1 ? 'cluster' : 'clusters'} stopped`);
  return 0;
}
