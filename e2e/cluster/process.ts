import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

export interface RunOptions {
  /** Milliseconds until the program is killed; 30 000 when absent. */
  timeoutMs?: number | undefined;
  env?: NodeJS.ProcessEnv | undefined;
  cwd?: string | undefined;
  input?: string | undefined;
  /** Resolve also when the exit code is not 0. */
  allowFailure?: boolean | undefined;
  signal?: AbortSignal | undefined;
}

export interface RunResult {
  code: number;
  stdout: string;
  stderr: string;
}

/** A program that ended with another exit code than 0, or did not end in time. */
export class CommandError extends Error {
  readonly result: RunResult;
  constructor(argv: readonly string[], result: RunResult, note: string) {
    super(`${argv.join(' ')}: ${note}\n${(result.stderr || result.stdout).trim().slice(-2_000)}`);
    this.name = 'CommandError';
    this.result = result;
  }
}

/** Runs a program to its end, without a shell, and returns what it wrote. */
export function run(argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const [file, ...args] = argv;
  if (file === undefined) throw new Error('run: empty argv');
  const timeoutMs = options.timeoutMs ?? 30_000;
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      ...(options.env === undefined ? {} : { env: options.env }),
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      child.kill('SIGKILL');
    }, timeoutMs);
    child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
    child.on('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    child.on('close', (code, killedBy) => {
      clearTimeout(timer);
      const result = {
        code: code ?? 128,
        stdout: Buffer.concat(stdout).toString(),
        stderr: Buffer.concat(stderr).toString(),
      };
      if (timedOut) reject(new CommandError(argv, result, `no end after ${timeoutMs} ms`));
      else if (result.code === 0 || options.allowFailure === true) resolve(result);
      else
        reject(new CommandError(argv, result, killedBy === null ? `exit code ${result.code}` : `ended by ${killedBy}`));
    });
    child.stdin.on('error', () => undefined);
    child.stdin.end(options.input);
  });
}

/** A long-running program of the cluster, its output in a log file. */
export interface Daemon {
  name: string;
  logFile: string;
  child: ChildProcess;
  /** Rejects when the program ends before `stopDaemon`. */
  ended: Promise<never>;
  stopping: boolean;
}

/**
 * Starts a program that lives as long as the cluster. It asks the kernel for SIGKILL at its parent's end, so that nothing
 * outlives a killed test run.
 */
export function startDaemon(name: string, argv: readonly string[], logFile: string, env?: NodeJS.ProcessEnv): Daemon {
  const log = openSync(logFile, 'a');
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', ...argv], {
    stdio: ['ignore', log, log],
    ...(env === undefined ? {} : { env }),
  });
  closeSync(log);
  const daemon: Daemon = { name, logFile, child, stopping: false, ended: Promise.reject() };
  daemon.ended.catch(() => undefined);
  daemon.ended = new Promise((_, reject) => {
    child.on('error', reject);
    child.on('exit', (code, signal) => {
      if (daemon.stopping) return;
      reject(
        new Error(
          `${name} ended (${signal ?? `exit code ${code}`}); the end of ${logFile}:\n${lastLines(logFile, 15)}`,
        ),
      );
    });
  });
  daemon.ended.catch(() => undefined);
  return daemon;
}

/** Asks a daemon to end, and kills it after `graceMs`. */
export async function stopDaemon(daemon: Daemon, graceMs: number): Promise<void> {
  daemon.stopping = true;
  const { child } = daemon;
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill(graceMs > 0 ? 'SIGTERM' : 'SIGKILL');
  const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
  await exited;
  clearTimeout(timer);
}

/** Calls `check` every `intervalMs` until it returns true; throws with the last failure after `timeoutMs`, or at the signal. */
export async function until(
  what: string,
  check: () => Promise<boolean> | boolean,
  timeoutMs: number,
  intervalMs = 250,
  signal?: AbortSignal,
): Promise<void> {
  const end = Date.now() + timeoutMs;
  let last: unknown;
  for (;;) {
    signal?.throwIfAborted();
    try {
      if (await check()) return;
      last = undefined;
    } catch (error) {
      last = error;
    }
    if (Date.now() > end) {
      const cause = last instanceof Error ? `: ${last.message}` : '';
      throw new Error(`${what}: not within ${timeoutMs} ms${cause}`);
    }
    await sleep(intervalMs);
  }
}

/** True while a process with this id exists and started at this moment (field 22 of /proc/PID/stat, in clock ticks). */
export function isAlive(pid: number, startTicks: string): boolean {
  return startTicksOf(pid) === startTicks;
}

/** When a process started, in clock ticks since boot; undefined when there is none. Guards against reused ids. */
export function startTicksOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}

function lastLines(file: string, count: number): string {
  try {
    return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-count).join('\n');
  } catch {
    return '';
  }
}
