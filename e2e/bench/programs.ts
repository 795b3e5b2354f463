/** Child processes of a benchmark: started pinned to a core, stopped by pid, none left behind. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

export interface ProgramOptions {
  readonly args: readonly string[];
  /** CPU number (or several, by commas) the program and all its children are pinned to; absent: not pinned. */
  readonly core?: number | string;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** stdout and stderr go here; its tail is printed when the program dies early. */
  readonly logFile: string;
}

export interface Program {
  readonly name: string;
  readonly pid: number;
  /** The exit code (or signal) once it has ended, otherwise undefined. */
  ended(): string | undefined;
  /** SIGTERM, then SIGKILL after 10 s; resolves when it is gone. */
  stop(): Promise<void>;
  readonly logFile: string;
}

/** Owns every process of one benchmark run. `stopAll` may be called more than once. */
export class Programs {
  readonly #running = new Set<Program>();
  #closed = false;

  start(name: string, command: string, options: ProgramOptions): Program {
    if (this.#closed) throw new Error(`${name}: the benchmark is stopping`);
    const pinned = options.core !== undefined;
    const argv = pinned ? ['-c', String(options.core), command, ...options.args] : [...options.args];
    const log = openSync(options.logFile, 'w');
    // taskset replaces itself by the program, so the pid is the program's own
    const child = spawn(pinned ? 'taskset' : command, argv, {
      stdio: ['ignore', log, log],
      env: { ...process.env, ...options.env },
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
    closeSync(log);
    let ended: string | undefined;
    const gone = new Promise<void>((resolve) => {
      child.once('exit', (code, signal) => {
        ended = signal ?? `exit code ${code}`;
        resolve();
      });
      child.once('error', (error) => {
        ended = error.message;
        resolve();
      });
    });
    const program: Program = {
      name,
      pid: child.pid ?? -1,
      logFile: options.logFile,
      ended: () => ended,
      stop: async () => {
        if (ended === undefined) await terminate(child, gone);
        this.#running.delete(program);
      },
    };
    this.#running.add(program);
    return program;
  }

  async stopAll(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#running].map((program) => program.stop()));
  }
}

async function terminate(child: ChildProcess, gone: Promise<void>): Promise<void> {
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), 10_000);
  await gone;
  clearTimeout(timer);
}

/** Polls until `check` is true. Throws with the tail of the log when the program ends or `timeoutMs` passes first. */
export async function untilReady(
  program: Program,
  check: () => Promise<boolean>,
  timeoutMs = 20_000,
  everyMs = 25,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await check())) {
    const ended = program.ended();
    if (ended !== undefined || performance.now() > deadline) {
      const why = ended === undefined ? `not ready after ${timeoutMs / 1000} s` : `ended early (${ended})`;
      throw new Error(`${program.name}: ${why}\n${tail(program.logFile)}`);
    }
    await sleep(everyMs);
  }
}

function tail(file: string): string {
  return readFileSync(file, 'utf8').split('\n').slice(-20).join('\n');
}

/** `pid` and all its descendants that live now. */
export function processTree(pid: number): number[] {
  const childrenOf = new Map<number, number[]>();
  for (const entry of readdirSync('/proc')) {
    const id = Number(entry);
    if (!Number.isInteger(id)) continue;
    const parent = parentOf(id);
    if (parent === undefined) continue;
    childrenOf.set(parent, [...(childrenOf.get(parent) ?? []), id]);
  }
  const tree = [pid];
  for (const id of tree) tree.push(...(childrenOf.get(id) ?? []));
  return tree;
}

function parentOf(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
  } catch {
    return undefined; // ended between readdir and read
  }
}
