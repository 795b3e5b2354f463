/** Asks one gateway on one kept connection. */
import { Agent, get } from 'node:http';

export class Prober {
  readonly #url: string;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  constructor(url: string) {
    this.#url = url;
  }

  /** The status, or the code of the error. Never rejects. */
  ask(path: string): Promise<string> {
    return new Promise((resolve) => {
      const request = get(this.#url + path, { agent: this.#agent, timeout: 5000 }, (response) => {
        response.resume();
        response.once('end', () => resolve(String(response.statusCode)));
        response.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
      });
      request.once('timeout', () => request.destroy(new Error('timeout')));
      request.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}
