/** A server of a test as a child process: started, harmed and ended by its process id, never left behind. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Component, ProcessComponent } from './component.ts';
import { find } from './packages.ts';

const startTimeoutMs = 60_000;
const endTimeoutMs = 20_000;

export interface LocalProgramOptions {
  /** For messages and the name of its folder. */
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  /** Its own folder, deleted by `dispose`: see `programDirectory`. */
  readonly directory: string;
  readonly port: number;
  /** It is ready when it takes connections: it says nothing of itself. */
  readonly accepts?: boolean;
  /** Sent after connecting, if the program waits for the client to speak. */
  readonly greet?: string;
  /** More environment variables. */
  readonly env?: Readonly<Record<string, string>>;
}

/** On Linux the kernel ends it with its parent, even when that is killed. */
function endsWithUs(argv: [string, ...string[]]): [string, ...string[]] {
  const setpriv = process.platform === 'linux' ? find('setpriv') : undefined;
  return setpriv === undefined ? argv : [setpriv, '--pdeathsig', 'KILL', ...argv];
}

/** A folder nobody else may read. */
export function programDirectory(name: string): string {
  return mkdtempSync(join(tmpdir(), `tidegate-${name}-`));
}

export class LocalProgram {
  readonly #options: LocalProgramOptions;
  #child: ChildProcess | undefined;
  #gone: Promise<void> = Promise.resolve();
  /** For systems where the kernel does not end the program with us, and for the folder. */
  readonly #atExit = () => {
    this.#child?.kill('SIGKILL');
    rmSync(this.#options.directory, { recursive: true, force: true });
  };

  constructor(options: LocalProgramOptions) {
    this.#options = options;
    process.on('exit', this.#atExit);
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Returns when it answers on its port; throws with the end of its log when it does not. */
  async start(): Promise<void> {
    const { name, command, args, directory, env } = this.#options;
    const logFile = join(directory, 'log');
    const log = openSync(logFile, 'a');
    const [file, ...rest] = endsWithUs([command, ...args]);
    const child = spawn(file, rest, {
      stdio: ['ignore', log, log],
      cwd: directory,
      env: { ...process.env, ...env },
    });
    closeSync(log);
    this.#child = child;
    let failure = '';
    this.#gone = new Promise((resolve) => {
      child.once('error', (error) => {
        failure = error.message;
        resolve();
      });
      child.once('exit', (code, signal) => {
        failure = signal ?? `exit code ${code}`;
        this.#child = undefined;
        resolve();
      });
    });
    const deadline = performance.now() + startTimeoutMs;
    while (!(await answers(this.#options))) {
      if (failure === '' && performance.now() < deadline) {
        await sleep(25);
        continue;
      }
      const end = readFileSync(logFile, 'utf8').trimEnd().split('\n').slice(-15).join('\n');
      await this.end('SIGKILL');
      throw new Error(
        `${name} ${failure === '' ? `is not ready after ${startTimeoutMs} ms` : `ended: ${failure}`}\n${end}`,
      );
    }
  }

  /** What a test is given. */
  asComponent(name: Component['name'], url: string): ProcessComponent {
    return {
      name,
      url,
      origin: 'process',
      port: this.#options.port,
      pause: () => this.#pause(),
      resume: () => this.#signal('SIGCONT'),
      kill: () => this.end('SIGKILL'),
      shutDown: () => this.end('SIGTERM'),
      restart: async () => {
        await this.end('SIGTERM');
        await this.start();
      },
      stop: () => this.dispose(),
    };
  }

  async #pause(): Promise<void> {
    this.#signal('SIGSTOP');
    // The signal is on its way when kill() returns; only an answer that does not come shows that it has arrived.
    while (await answers(this.#options, 200)) await sleep(5);
  }

  #signal(signal: NodeJS.Signals): void {
    if (this.#child?.kill(signal) !== true) throw new Error(`${this.#options.name} does not run: no ${signal}`);
  }

  /** Resolves when it is gone; SIGKILL after 20 s. A paused program can take only SIGKILL, so it is woken first. */
  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    child.kill('SIGCONT');
    child.kill(signal);
    const timer = setTimeout(() => child.kill('SIGKILL'), endTimeoutMs);
    await this.#gone;
    clearTimeout(timer);
  }

  async dispose(): Promise<void> {
    await this.end('SIGTERM');
    process.off('exit', this.#atExit);
    rmSync(this.#options.directory, { recursive: true, force: true });
  }
}

/** True when something on the port says a word in time. */
function answers({ port, greet, accepts }: LocalProgramOptions, timeoutMs = 1000): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    const done = (verdict: boolean) => {
      socket.destroy();
      resolve(verdict);
    };
    socket.setTimeout(timeoutMs, () => done(false));
    socket.once('error', () => done(false));
    socket.once('close', () => done(false));
    socket.once('data', () => done(true));
    if (accepts === true) socket.once('connect', () => done(true));
    if (greet !== undefined) socket.write(greet);
  });
}
