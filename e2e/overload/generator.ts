/**
 * A load over bare sockets, in a process of its own: at a fixed rate whatever comes back (an open loop), or each connection as fast as it is
 * answered (a closed loop). Started by fork with its Load as JSON; sends its Measured when all is over, and ends by itself.
 */
import net from 'node:net';

export interface Load {
  readonly port: number;
  readonly path: string;
  /** Sent in turn: header lines with CRLF. What each is called is the key of its figures. */
  readonly kinds: readonly { readonly name: string; readonly fields: string }[];
  /** Requests a second; 0: a closed loop. */
  readonly rate: number;
  /** Of the closed loop, all from the start; of the open loop the most at a time. */
  readonly connections: number;
  readonly durationMs: number;
  /** A request without a whole answer by then has failed. */
  readonly timeoutMs: number;
}

export interface Figures {
  sent: number;
  /** By status. */
  statuses: Record<string, number>;
  timeouts: number;
  /** Connections that broke before the answer. */
  resets: number;
  /** 503 without Retry-After. */
  noRetryAfter: number;
  /** From when it was due to the last byte, ms, of 2xx answers, sorted. */
  servedMs: number[];
  /** Likewise of 503. */
  shedMs: number[];
}

export interface Measured {
  /** From the first request to the last one due. */
  readonly tookMs: number;
  /** Due and not sent, as all connections were busy. */
  readonly unsent: number;
  readonly kinds: Record<string, Figures>;
  /** 2xx answers that came in each tenth of a second. */
  readonly servedPerTenth: number[];
}

/** How often it is looked which requests are due. */
const TICK_MS = 2;
const HEAD_END = Buffer.from('\r\n\r\n');

interface Asked {
  readonly figures: Figures;
  readonly dueMs: number;
}

class Generator {
  readonly #load: Load;
  readonly #texts: string[];
  readonly #kinds: Record<string, Figures> = {};
  readonly #idle: Connection[] = [];
  readonly #open = new Set<Connection>();
  readonly #servedPerTenth: number[] = [];
  readonly #startedMs = performance.now();
  #due = 0;
  #unsent = 0;

  constructor(load: Load) {
    this.#load = load;
    this.#texts = load.kinds.map(
      ({ fields }) => `GET ${load.path} HTTP/1.1\r\nhost: 127.0.0.1:${load.port}\r\n${fields}\r\n`,
    );
    for (const { name } of load.kinds) {
      this.#kinds[name] ??= {
        ...{ sent: 0, statuses: {}, timeouts: 0, resets: 0, noRetryAfter: 0 },
        ...{ servedMs: [], shedMs: [] },
      };
    }
  }

  get port(): number {
    return this.#load.port;
  }

  async run(): Promise<Measured> {
    const { rate, connections, durationMs, timeoutMs } = this.#load;
    const closed = rate === 0;
    if (closed) for (let i = 0; i < connections; i++) this.#send(performance.now());
    while (performance.now() - this.#startedMs < durationMs) {
      await new Promise((resolve) => setTimeout(resolve, TICK_MS));
      if (!closed) this.#sendDue();
      this.#expire();
    }
    const tookMs = performance.now() - this.#startedMs;
    while (
      [...this.#open].some(({ asked }) => asked !== null) &&
      performance.now() - this.#startedMs < tookMs + timeoutMs
    ) {
      await new Promise((resolve) => setTimeout(resolve, TICK_MS));
      this.#expire();
    }
    for (const connection of this.#open) connection.socket.destroy();
    for (const { servedMs, shedMs } of Object.values(this.#kinds)) {
      servedMs.sort((a, b) => a - b);
      shedMs.sort((a, b) => a - b);
    }
    return {
      tookMs,
      unsent: this.#unsent,
      kinds: this.#kinds,
      servedPerTenth: Array.from(this.#servedPerTenth, (n) => n ?? 0),
    };
  }

  answered(
    connection: Connection,
    { figures, dueMs }: Asked,
    status: number,
    retryAfter: boolean,
    keep: boolean,
  ): void {
    const nowMs = performance.now();
    figures.statuses[status] = (figures.statuses[status] ?? 0) + 1;
    if (status >= 200 && status < 300) {
      figures.servedMs.push(nowMs - dueMs);
      const tenth = Math.floor((nowMs - this.#startedMs) / 100);
      this.#servedPerTenth[tenth] = (this.#servedPerTenth[tenth] ?? 0) + 1;
    } else if (status === 503) {
      figures.shedMs.push(nowMs - dueMs);
      if (!retryAfter) figures.noRetryAfter++;
    }
    if (keep) this.#idle.push(connection);
    else connection.socket.destroy();
    if (this.#load.rate === 0 && nowMs - this.#startedMs < this.#load.durationMs) this.#send(nowMs);
  }

  closed(connection: Connection): void {
    this.#open.delete(connection);
    const at = this.#idle.indexOf(connection);
    if (at >= 0) this.#idle.splice(at, 1);
    if (connection.asked !== null) connection.asked.figures.resets++;
    connection.asked = null;
  }

  #sendDue(): void {
    const elapsedMs = performance.now() - this.#startedMs;
    const due = Math.floor((Math.min(elapsedMs, this.#load.durationMs) * this.#load.rate) / 1000);
    while (this.#due < due) this.#send(this.#startedMs + (this.#due * 1000) / this.#load.rate);
  }

  #send(dueMs: number): void {
    const turn = this.#due++ % this.#load.kinds.length;
    let connection = this.#idle.pop();
    if (connection === undefined) {
      if (this.#open.size >= this.#load.connections) {
        this.#unsent++;
        return;
      }
      connection = new Connection(this);
      this.#open.add(connection);
    }
    const figures = this.#kinds[(this.#load.kinds[turn] as { name: string }).name] as Figures;
    figures.sent++;
    connection.asked = { figures, dueMs };
    connection.socket.write(this.#texts[turn] as string, 'latin1');
  }

  #expire(): void {
    const oldestMs = performance.now() - this.#load.timeoutMs;
    for (const connection of this.#open) {
      const { asked } = connection;
      if (asked === null || asked.dueMs > oldestMs) continue;
      asked.figures.timeouts++;
      connection.asked = null;
      connection.socket.destroy();
    }
  }
}

class Connection {
  readonly socket: net.Socket;
  asked: Asked | null = null;
  #held: Buffer = Buffer.alloc(0);

  constructor(generator: Generator) {
    this.socket = net.connect({ host: '127.0.0.1', port: generator.port, noDelay: true });
    this.socket.on('error', () => {});
    this.socket.on('close', () => generator.closed(this));
    this.socket.on('data', (bytes: Buffer) => {
      this.#held = this.#held.length === 0 ? bytes : Buffer.concat([this.#held, bytes]);
      const end = this.#held.indexOf(HEAD_END);
      if (end < 0) return;
      const head = this.#held.toString('latin1', 0, end + 2);
      const length = Number(/\r\ncontent-length: (\d+)\r\n/.exec(head)?.[1] ?? 0);
      const chunked = head.includes('\r\ntransfer-encoding: chunked');
      if (chunked || this.#held.length < end + HEAD_END.length + length) return;
      this.#held = Buffer.alloc(0);
      const { asked } = this;
      this.asked = null;
      if (asked === null) return;
      const keep = !head.includes('\r\nconnection: close');
      generator.answered(this, asked, Number(head.slice(9, 12)), head.includes('\r\nretry-after: '), keep);
    });
  }
}

if (process.send !== undefined && process.argv[2] !== undefined) {
  const load = JSON.parse(process.argv[2]) as Load;
  const measured = await new Generator(load).run();
  process.send(measured, undefined, undefined, () => process.disconnect?.());
}
