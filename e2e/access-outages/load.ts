/** A constant, bounded load that goes on whatever happens, and what became of every request of it. */
import http from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Sample {
  readonly phase: string;
  /** Which of the load's requests. */
  readonly name: string;
  /** 0: no answer, which is a failure of the gateway. */
  readonly status: number;
  /** Reason of the gateway, empty where it has none. */
  readonly code: string;
  readonly ms: number;
}

export interface Asked {
  readonly name: string;
  readonly path: string;
  /** Made for each request. */
  readonly headers?: () => Readonly<Record<string, string>> | Promise<Readonly<Record<string, string>>>;
}

const EVERY_MS = 10;
/** Longer than anything that is allowed; a request that takes this long has failed the test. */
const GIVE_UP_MS = 15_000;

export class ConstantLoad {
  readonly samples: Sample[] = [];
  readonly #url: string;
  readonly #asked: readonly Asked[];
  readonly #agent = new http.Agent({ keepAlive: true });
  readonly #waiting = new Set<Promise<void>>();
  readonly #timer: NodeJS.Timeout;
  #phase: string;
  #turn = 0;

  /** Sends the requests in turn, one every 10 ms, until it is stopped. */
  constructor(url: string, asked: readonly Asked[], phase: string) {
    this.#url = url;
    this.#asked = asked;
    this.#phase = phase;
    this.#timer = setInterval(() => this.#send(), EVERY_MS);
  }

  /** What is sent from now on belongs to this phase. */
  phase(name: string): void {
    this.#phase = name;
  }

  /** Resolves when every request has its answer. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all(this.#waiting);
    this.#agent.destroy();
  }

  /** Resolves when so many requests of each kind, sent in this phase, have their answers. */
  async until(phase: string, count: number): Promise<void> {
    while (this.#asked.some(({ name }) => this.of(phase, name).length < count)) await sleep(20);
  }

  /** Resolves when what was sent before has its answer. */
  async settled(): Promise<void> {
    await Promise.all(this.#waiting);
  }

  of(phase: string, name: string): Sample[] {
    return this.samples.filter((sample) => sample.phase === phase && sample.name === name);
  }

  #send(): void {
    const asked = this.#asked[this.#turn++ % this.#asked.length] as Asked;
    const request = this.#ask(asked, this.#phase);
    this.#waiting.add(request);
    void request.finally(() => this.#waiting.delete(request));
  }

  async #ask({ name, path, headers }: Asked, phase: string): Promise<void> {
    const fields = (await headers?.()) ?? {};
    const startedAt = performance.now();
    const { status, body } = await get(`${this.#url}${path}`, fields, this.#agent);
    this.samples.push({ phase, name, status, code: codeOf(body), ms: performance.now() - startedAt });
  }
}

function get(
  url: string,
  headers: Readonly<Record<string, string>>,
  agent: http.Agent,
): Promise<{ status: number; body: string }> {
  return new Promise((resolve) => {
    const fail = () => resolve({ status: 0, body: '' });
    const request = http.get(url, { headers, agent, timeout: GIVE_UP_MS }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        body += chunk;
      });
      response.on('error', fail);
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
    });
    request.on('timeout', () => request.destroy());
    request.on('error', fail);
  });
}

function codeOf(body: string): string {
  if (!body.startsWith('{')) return '';
  return (JSON.parse(body) as { code?: string }).code ?? '';
}
