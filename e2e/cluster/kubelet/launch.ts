import { type ChildProcess, spawn } from 'node:child_process';
import {
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { inNamespace } from '../network.ts';

export interface BindMount {
  source: string;
  target: string;
  readOnly: boolean;
}

/** All it takes to start a container's process. */
export interface LaunchPlan {
  /** Folder for the container's plan and root mount point. */
  home: string;
  networkNamespace: string;
  hostname: string;
  mounts: readonly BindMount[];
  readOnlyRoot: boolean;
  workingDir: string;
  uid: number;
  gid: number;
  groups: readonly number[];
  /** Argument of setpriv --bounding-set. */
  capabilities: string;
  noNewPrivileges: boolean;
  env: Readonly<Record<string, string>>;
  argv: readonly string[];
  logFile: string;
}

export interface Exit {
  exitCode: number;
  signal?: number;
}

export interface LaunchedContainer {
  /** Resolves when the container's first process has ended; the kernel has then ended all others. */
  exited: Promise<Exit>;
  /** Sends a signal to the container's first process. */
  signal: (signal: NodeJS.Signals) => void;
  /** Process id of that process as seen from outside; undefined when it has ended. */
  pid: () => number | undefined;
}

const signalNumbers: Readonly<Record<string, number>> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGABRT: 6,
  SIGKILL: 9,
  SIGSEGV: 11,
  SIGPIPE: 13,
  SIGTERM: 15,
};
/**
 * Read-only from the machine, as an image's own system files would be. /usr itself is the container's, and with it
 * /usr/local, where images put their programs.
 */
const systemPaths = [
  ...['bin', 'sbin', 'lib', 'lib64', 'libexec', 'share'].map((name) => `/usr/${name}`),
  ...['/bin', '/sbin', '/lib', '/lib64', '/etc/ssl', '/etc/alternatives', '/etc/ld.so.cache', '/etc/localtime'],
];

/**
 * Starts a container: new mount, PID, IPC and UTS namespaces, the pod's network. The kernel ends it with the kubelet.
 * stdout and stderr go straight to the log file, so that busy logs cost the kubelet nothing.
 */
export async function launchContainer(plan: LaunchPlan): Promise<LaunchedContainer> {
  const root = join(plan.home, 'root');
  mkdirSync(root, { recursive: true });
  const planFile = join(plan.home, 'plan');
  writeFileSync(planFile, planLines(plan.mounts));
  const launcher = join(import.meta.dirname, 'launch.sh');
  const argv = [
    ...['setpriv', '--pdeathsig', 'KILL', '--'],
    ...inNamespace(plan.networkNamespace, [
      'unshare',
      '--mount',
      '--pid',
      '--ipc',
      '--uts',
      '--fork',
      '--kill-child=SIGKILL',
      '--',
    ]),
    ...[
      'sh',
      launcher,
      root,
      planFile,
      plan.hostname,
      plan.readOnlyRoot ? 'yes' : 'no',
      plan.workingDir,
      String(plan.uid),
      String(plan.gid),
    ],
    ...[
      plan.groups.length === 0 ? 'none' : plan.groups.join(','),
      plan.capabilities,
      plan.noNewPrivileges ? 'yes' : 'no',
    ],
    ...plan.argv,
  ];
  const log = openSync(plan.logFile, 'a');
  const child = spawn(argv[0] ?? '', argv.slice(1), { stdio: ['ignore', log, log], env: plan.env, detached: true });
  closeSync(log);
  const exited = new Promise<Exit>((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code, signal) => {
      const number = signal === null ? undefined : (signalNumbers[signal] ?? 0);
      resolve(number === undefined ? { exitCode: code ?? 0 } : { exitCode: 128 + number, signal: number });
    });
  });
  exited.catch(() => undefined);
  const inner = await innerProcess(child);
  const pid = () => (child.exitCode === null && child.signalCode === null ? inner : undefined);
  return {
    exited,
    pid,
    signal: (signal) => {
      // Ending the outer process ends the inner one too; the reverse order would lose a SIGTERM handler's work.
      const target = pid() ?? (child.exitCode === null ? child.pid : undefined);
      if (target === undefined) return;
      try {
        process.kill(target, signal);
      } catch {
        // It has just ended by itself.
      }
    },
  };
}

function planLines(mounts: readonly BindMount[]): string {
  const lines: string[] = [];
  for (const path of systemPaths) {
    if (!existsSync(path)) continue;
    // On merged-/usr systems /bin and its like are links into /usr.
    if (lstatSync(path).isSymbolicLink()) lines.push(`link\t${readlinkSync(path)}\t${path}`);
    else lines.push(`ro\t${path}\t${path}`);
  }
  for (const mount of mounts)
    lines.push(`${mount.readOnly ? 'ro' : 'rw'}\t${mount.source}\t${mount.target.replace(/\/+$/, '')}`);
  return `${lines.join('\n')}\n`;
}

/** unshare forks: the container's first process is its only child. */
async function innerProcess(child: ChildProcess): Promise<number | undefined> {
  const file = `/proc/${child.pid}/task/${child.pid}/children`;
  for (let attempt = 0; attempt < 500; attempt += 1) {
    if (child.exitCode !== null || child.signalCode !== null) return undefined;
    try {
      const pid = Number(readFileSync(file, 'utf8').trim().split(' ')[0]);
      if (pid > 0) return pid;
    } catch {
      return undefined;
    }
    await sleep(4);
  }
  return undefined;
}
