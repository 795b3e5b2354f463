/** The backends: processes of their own, each on an address of its own, so that a signal, a reset or a full backlog hits one alone. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Arrival, type Command, decodeArrivals, type Mode } from './backend-terms.ts';

const program = join(import.meta.dirname, 'backend.ts');
/** For a process to start, or to do as told. Never measured, only bounded. */
const PATIENCE_MS = 20_000;
/** A connection to a full backlog does not come about within this time, and those to any other do. */
const FULL_MS = 200;
const MAX_FILLERS = 32;
const READ_BYTES = 65_536;

export class Backend {
  /** `address:port` */
  readonly name: string;
  readonly address: string;
  readonly port: number;
  readonly #file: string;
  readonly #record: number;
  /** Bytes of the record that have become arrivals. */
  #read = 0;
  #arrivals: Arrival[] = [];
  #child: ChildProcess | null = null;
  #fillers: Socket[] = [];

  constructor(address: string, port: number, dir: string) {
    this.address = address;
    this.port = port;
    this.name = `${address}:${port}`;
    this.#file = join(dir, `${address}.arrivals`);
    this.#record = openSync(this.#file, 'a+');
  }

  /** Resolves when it listens. */
  async start(): Promise<void> {
    const child = spawn(process.execPath, [program, this.address, String(this.port), this.#file], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.#child = child;
    await said(child, 'well', () => {});
  }

  async enter(mode: Mode): Promise<void> {
    const child = this.#running();
    await said(child, mode, () => child.send({ mode } satisfies Command));
  }

  /** SIGKILL; resolves when it is gone. */
  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = null;
    this.#empty();
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await gone;
  }

  pause(): void {
    this.#running().kill('SIGSTOP');
  }

  resume(): void {
    this.#running().kill('SIGCONT');
  }

  /** It listens, accepts nothing, and its backlog is full: a SYN gets no answer. */
  async fillBacklog(): Promise<void> {
    await this.enter('backlog');
    this.pause();
    // Others may have been faster; full is full.
    while (this.#fillers.length < MAX_FILLERS) {
      const socket = connect({ host: this.address, port: this.port });
      socket.on('error', () => {});
      this.#fillers.push(socket);
      const connected = new Promise<boolean>((resolve) => socket.once('connect', () => resolve(true)));
      if (!(await Promise.race([connected, sleep(FULL_MS, false)]))) return;
    }
    throw new Error(`${this.name}: the backlog has no end`);
  }

  async emptyBacklog(): Promise<void> {
    this.#empty();
    this.resume();
    await this.enter('well');
  }

  /** All since its first start, or since they were forgotten. */
  arrivals(): readonly Arrival[] {
    const room = Buffer.allocUnsafe(READ_BYTES);
    for (;;) {
      const text = room.toString('latin1', 0, readSync(this.#record, room, 0, READ_BYTES, this.#read));
      const whole = text.slice(0, text.lastIndexOf('\n') + 1);
      if (whole === '') return this.#arrivals;
      this.#read += whole.length;
      this.#arrivals.push(...decodeArrivals(whole));
    }
  }

  forgetArrivals(): void {
    this.arrivals();
    this.#arrivals = [];
  }

  /** Ends it. */
  async stop(): Promise<void> {
    await this.kill();
    closeSync(this.#record);
  }

  #empty(): void {
    for (const socket of this.#fillers) socket.destroy();
    this.#fillers = [];
  }

  #running(): ChildProcess {
    if (this.#child === null) throw new Error(`${this.name} does not run`);
    return this.#child;
  }
}

/** Resolves when the child says that it is in this mode. */
function said(child: ChildProcess, mode: Mode, ask: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (why: string) => done(() => reject(new Error(`a backend ${why} (on its way to ${mode})`)));
    const onMessage = (command: unknown) => {
      if ((command as Command).mode === mode) done(resolve);
    };
    const onExit = () => fail('ended');
    const timer = setTimeout(() => fail('takes too long'), PATIENCE_MS);
    const done = (then: () => void) => {
      clearTimeout(timer);
      child.off('message', onMessage);
      child.off('exit', onExit);
      then();
    };
    child.on('message', onMessage);
    child.on('exit', onExit);
    ask();
  });
}
