/** For tests: the data plane as a process of its own, its log read line by line. */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { Inbox } from './sync/test-controller.ts';

export type LogLine = Record<string, unknown> & { readonly event?: string };

export class DataplaneProcess {
  readonly lines = new Inbox<LogLine>();
  readonly exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  readonly #child: ChildProcess;
  #errors = '';
  #rest = '';

  /** Two workers, free ports, the access log on stdout unless `env` says otherwise. */
  constructor(env: Record<string, string>, args: string[] = []) {
    const entry = fileURLToPath(new URL('./main.ts', import.meta.url));
    this.#child = spawn(process.execPath, ['--conditions=source', entry, ...args], {
      env: {
        PATH: process.env.PATH ?? '',
        TIDEGATE_NODE_NAME: 'dp',
        TIDEGATE_HOST: '127.0.0.1',
        TIDEGATE_HTTP_PORT: '0',
        TIDEGATE_ADMIN_PORT: '0',
        TIDEGATE_WORKERS: '2',
        TIDEGATE_STATE_DIR: 'off',
        ...env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => this.#read(text));
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#errors += text;
    });
    this.exited = new Promise((resolve) => this.#child.on('close', (code, signal) => resolve({ code, signal })));
  }

  get errors(): string {
    return this.#errors;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** The next line of the log with that event. */
  async event(name: string): Promise<LogLine> {
    try {
      return await this.lines.next((line) => line.event === name);
    } catch {
      throw new Error(`no ${name}:\n${this.lines.all.map((line) => JSON.stringify(line)).join('\n')}\n${this.errors}`);
    }
  }

  /** Ports, once it is ready. */
  async ready(): Promise<{ http: number; h2c: number; admin: number }> {
    const admin = await this.event('admin');
    const listening = await this.event('listening');
    await this.event('ready');
    return { http: Number(listening.httpPort), h2c: Number(listening.h2cPort), admin: Number(admin.port) };
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  async end(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill('SIGKILL');
    await this.exited;
  }

  #read(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) this.lines.push(JSON.parse(line) as LogLine);
  }
}
