/** Requests at a fixed rate over kept connections: `node paced-program.ts URL RATE SECONDS CONNECTIONS`. Figures to stdout as JSON. */
import net from 'node:net';
import { percentile } from '../measure.ts';

export interface PacedReport {
  readonly requests: number;
  readonly failures: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** The longest the program itself did not get to run, ms. */
  readonly longestGapMs: number;
}

/** Sleeps this long between looks at the clock and the sockets; a timer of the event loop would send a millisecond's requests in one burst. */
const STEP_MS = 0.1;
/** What is taken in the first part counts for nothing. */
const WARM_SHARE = 0.2;

const [url = '', rateText, secondsText, connectionsText] = process.argv.slice(2);
const target = new URL(url);
const intervalMs = 1000 / Number(rateText);
const text = `GET ${target.pathname} HTTP/1.1\r\nhost: ${target.host}\r\n\r\n`;
const END = Buffer.from('\r\n\r\n');

let failures = 0;
const times: number[] = [];
const idle: Paced[] = [];
/** When requests that found no connection were due. */
const waiting: number[] = [];

/** One kept connection, one request at a time. */
class Paced {
  readonly #socket = net.connect({ host: target.hostname, port: Number(target.port), noDelay: true });
  #dueMs = 0;
  #missing = -1;

  constructor(connected: () => void) {
    this.#socket.once('connect', connected);
    this.#socket.on('data', (bytes: Buffer) => this.#read(bytes));
    this.#socket.on('error', () => failures++);
  }

  send(dueMs: number): void {
    this.#dueMs = dueMs;
    this.#missing = -1;
    this.#socket.write(text, 'latin1');
  }

  #read(bytes: Buffer): void {
    let got = bytes.length;
    if (this.#missing < 0) {
      const end = bytes.indexOf(END);
      const head = bytes.toString('latin1', 0, end);
      if (end < 0 || !head.startsWith('HTTP/1.1 200')) failures++;
      this.#missing = Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1]);
      got -= end + 4;
    }
    this.#missing -= got;
    if (this.#missing > 0) return;
    times.push(performance.now() - this.#dueMs);
    const next = waiting.shift();
    if (next === undefined) idle.push(this);
    else this.send(next);
  }

  close(): void {
    this.#socket.destroy();
  }
}

const all: Paced[] = [];
for (let i = 0; i < Number(connectionsText); i++) {
  await new Promise<void>((resolve) => all.push(new Paced(resolve)));
}
idle.push(...all);

const cell = new Int32Array(new SharedArrayBuffer(4));
const startMs = performance.now();
const endMs = startMs + Number(secondsText) * 1000;
let dueMs = startMs;
let lastMs = startMs;
let longestGapMs = 0;

function step(): void {
  const nowMs = performance.now();
  longestGapMs = Math.max(longestGapMs, nowMs - lastMs);
  lastMs = nowMs;
  for (; dueMs <= nowMs; dueMs += intervalMs) {
    const connection = idle.pop();
    if (connection === undefined) waiting.push(dueMs);
    else connection.send(dueMs);
  }
  if (nowMs >= endMs) {
    report();
    return;
  }
  Atomics.wait(cell, 0, 0, STEP_MS);
  setImmediate(step);
}

function report(): void {
  const taken = times.slice(Math.floor(times.length * WARM_SHARE));
  const figures: PacedReport = {
    ...{ requests: times.length, failures, longestGapMs },
    ...{ p50Ms: percentile(taken, 0.5), p99Ms: percentile(taken, 0.99) },
  };
  console.log(JSON.stringify(figures));
  for (const one of all) one.close();
}

step();
