/** HTTP/2 with and without TLS. A session is replaced after some streams, as clients replace theirs. */
import http2 from 'node:http2';
import { BIG } from '../backend.ts';
import type { Group } from '../load.ts';
import { TRUSTING } from './http1.ts';

const STREAMS = 2_000;

class Sessions {
  readonly #url: string;
  #session: http2.ClientHttp2Session | null = null;
  #streams = 0;

  constructor(url: string) {
    this.#url = url;
  }

  /** One GET. */
  async ask(path: string, bytes: number): Promise<void> {
    const stream = this.#next().request({ ':path': path });
    stream.setTimeout(20_000, () => stream.destroy(new Error('no answer within 20 s')));
    let got = 0;
    let status = 0;
    stream.on('response', (headers) => {
      status = Number(headers[':status']);
    });
    for await (const chunk of stream) got += chunk.length;
    if (status !== 200 || got !== bytes) throw new Error(`${status} with ${got} bytes`);
  }

  #next(): http2.ClientHttp2Session {
    if (this.#session === null || this.#session.closed || this.#session.destroyed || ++this.#streams > STREAMS) {
      // What is under way on it ends first.
      this.#session?.close();
      this.#streams = 0;
      this.#session = http2.connect(this.#url, TRUSTING);
      // Its streams tell.
      this.#session.on('error', () => {});
    }
    return this.#session;
  }

  close(): void {
    this.#session?.destroy();
  }
}

export function overHttp2(h2cPort: number, httpsPort: number): Group {
  const plain = new Sessions(`http://127.0.0.1:${h2cPort}`);
  const secure = new Sessions(`https://127.0.0.1:${httpsPort}`);
  return {
    kinds: [
      { name: 'h2c 1 MiB down', loops: 2, pauseMs: 50, once: () => plain.ask('/big', BIG.length) },
      { name: 'h2c', loops: 4, once: () => plain.ask('/', 7) },
      { name: 'h2 over TLS', loops: 8, once: () => secure.ask('/', 7) },
      { name: 'h2 over TLS 1 MiB down', loops: 1, pauseMs: 50, once: () => secure.ask('/big', BIG.length) },
    ],
    close: () => {
      plain.close();
      secure.close();
    },
  };
}
