/** Clients that hold streams open: each connects again at once when its stream ends, and counts how it ended. */
import http from 'node:http';

export interface StreamCounts {
  /** Streams begun. */
  opened: number;
  /** Attempts to begin one that failed. */
  refused: number;
  /** WebSockets closed with 1001, by the backend or by the gateway. */
  away: number;
  /** WebSockets whose connection ended without a close frame. */
  cut: number;
  /** Event streams with a last chunk. */
  complete: number;
  /** Event streams without one. */
  broken: number;
  /** WebSocket messages that came back, and events. */
  messages: number;
}

export class StreamLoad {
  readonly counts: StreamCounts = { opened: 0, refused: 0, away: 0, cut: 0, complete: 0, broken: 0, messages: 0 };
  /** In words, the first few. */
  readonly failures: string[] = [];
  #open = 0;
  #stopped = false;
  readonly #url: string;
  readonly #host: string;
  readonly #ends = new Set<() => void>();

  /** `url` of the gateway, `host` of the route. */
  constructor(url: string, host: string) {
    this.#url = url;
    this.#host = host;
  }

  /** Streams that are open now. */
  get open(): number {
    return this.#open;
  }

  start(sockets: number, listeners: number): void {
    for (let i = 0; i < sockets; i++) void this.#hold(() => this.#talk());
    for (let i = 0; i < listeners; i++) void this.#hold(() => this.#listen());
  }

  stop(): void {
    this.#stopped = true;
    for (const end of this.#ends) end();
  }

  async #hold(stream: () => Promise<void>): Promise<void> {
    while (!this.#stopped) {
      try {
        await stream();
      } catch (error) {
        if (this.#stopped) return;
        this.counts.refused++;
        if (this.failures.length < 20) this.failures.push(String(error));
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
    }
  }

  /** Upgraded by hand: what is counted is how connections end, and no client library tells. */
  #talk(): Promise<void> {
    return new Promise((resolve, reject) => {
      const key = Buffer.from('0123456789abcdef').toString('base64');
      const headers = { host: this.#host, connection: 'Upgrade', upgrade: 'websocket' };
      const request = http.get(`${this.#url}/ws`, {
        agent: false,
        timeout: 10_000,
        headers: { ...headers, 'sec-websocket-version': '13', 'sec-websocket-key': key },
      });
      request.once('timeout', () => request.destroy(new Error('no upgrade in 10 s')));
      request.once('error', reject);
      request.once('response', (response) => {
        response.resume();
        reject(new Error(`upgrade answered ${response.statusCode}`));
      });
      request.once('upgrade', (_response, socket) => {
        const ended = this.#began(() => socket.destroy());
        socket.setTimeout(0);
        const timer = setInterval(() => socket.write(PING), 200);
        let away = false;
        socket.on('data', (bytes: Buffer) => {
          // Frames of the backend: `x` back is 81 01 78, its goodbye begins with 88.
          if (bytes.includes(0x88)) away = true;
          else this.counts.messages++;
          if (away) socket.end(Buffer.from([0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe9]));
        });
        socket.on('error', () => {});
        socket.on('end', () => socket.end());
        socket.once('close', () => {
          clearInterval(timer);
          if (ended()) this.counts[away ? 'away' : 'cut']++;
          resolve();
        });
      });
    });
  }

  #listen(): Promise<void> {
    return new Promise((resolve, reject) => {
      const request = http.get(`${this.#url}/events`, { agent: false, timeout: 10_000, headers: { host: this.#host } });
      request.once('timeout', () => request.destroy(new Error('no event in 10 s')));
      request.once('error', reject);
      request.once('response', (response) => {
        if (response.statusCode !== 200) {
          response.resume();
          reject(new Error(`events answered ${response.statusCode}`));
          return;
        }
        const ended = this.#began(() => request.destroy());
        response.on('data', () => this.counts.messages++);
        response.on('error', () => {});
        response.once('close', () => {
          if (ended()) this.counts[response.complete ? 'complete' : 'broken']++;
          resolve();
        });
      });
    });
  }

  /** What it returns says whether the end is to be counted. */
  #began(end: () => void): () => boolean {
    this.counts.opened++;
    this.#open++;
    this.#ends.add(end);
    return () => {
      this.#open--;
      this.#ends.delete(end);
      return !this.#stopped;
    };
  }
}

/** A masked text frame with `x`. */
const PING = Buffer.from([0x81, 0x81, 0, 0, 0, 0, 0x78]);
