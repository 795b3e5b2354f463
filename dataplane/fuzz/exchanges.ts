/**
 * Whole exchanges: the same bytes to our engine and to nginx, each before a backend that notes what it is asked. Both backends must have been asked
 * the same, with the same bodies; where one proxy refuses what the other takes, the reason must be on a list.
 */
import { TestProxy } from '../engine.fixture.ts';
import { readTarget } from './differences.ts';
import { Nginx } from './nginx.ts';
import { readOurRequests } from './our-codec.ts';
import type { Message } from './reading.ts';
import { converse, RecordingBackend } from './recording-backend.ts';

/** What we refuse and nginx takes, by our code. */
export const STRICTER_THAN_NGINX: Readonly<Record<string, string>> = {
  'bad-line-end': 'nginx takes a bare LF for a line end everywhere',
  'bad-request-line': 'nginx takes HTTP/0.9, empty lines and spaces around the parts of a request line',
  'bad-header': 'nginx drops a field with an invalid name, and takes control characters in values',
  'bad-target': 'nginx takes high bytes, backslashes and fragments',
  'bad-path': 'nginx passes the path on as it came here, and resolves it only to match',
  'bad-host': 'nginx takes several forms of Host, and an absolute target beside it',
  'bad-framing': 'nginx takes Transfer-Encoding in HTTP/1.0 and a tab around what frames',
  'bad-chunk': 'nginx takes bare LF, spaces and any bytes in extensions, and trailers unread',
  'bad-expect': 'nginx takes any expectation for none',
  'unsupported-version': 'nginx takes HTTP/1.2 and higher for HTTP/1.1',
  'headers-too-large': 'nginx has other limits',
  'uri-too-long': 'nginx has other limits',
};

export interface ExchangeDifference {
  readonly what: string;
  readonly ours: readonly string[];
  readonly nginx: readonly string[];
}

export class Exchanges {
  readonly #ourBackend = new RecordingBackend();
  readonly #nginxBackend = new RecordingBackend();
  #gateway!: TestProxy;
  #nginx!: Nginx;

  async start(nginxPath: string): Promise<this> {
    await Promise.all([this.#ourBackend.listen(), this.#nginxBackend.listen()]);
    this.#gateway = await new TestProxy([this.#ourBackend.port]).listen();
    this.#nginx = await Nginx.start(nginxPath, this.#nginxBackend.port);
    return this;
  }

  async stop(): Promise<void> {
    await this.#gateway.close();
    await this.#nginx.stop();
    await Promise.all([this.#ourBackend.close(), this.#nginxBackend.close()]);
  }

  /** Null: none, or one that is listed. */
  async differenceOn(input: string): Promise<ExchangeDifference | null> {
    const bytes = Buffer.from(input, 'latin1');
    const [, nginxAnswer] = await Promise.all([
      converse(this.#gateway.port, [bytes]),
      converse(this.#nginx.port, [bytes]),
    ]);
    const asked = this.#ourBackend.take();
    const nginxAsked = this.#nginxBackend.take();
    const ours = shown(asked.requests);
    const nginx = shown(nginxAsked.requests);
    const told = (what: string): ExchangeDifference => ({ what, ours, nginx });
    // Methods are open, and llhttp's are not.
    if (asked.refused !== null && asked.refused !== 'HPE_INVALID_METHOD')
      return told(`our backend could not read what we sent: ${asked.refused}`);
    const common = Math.min(ours.length, nginx.length);
    for (let i = 0; i < common; i++) if (ours[i] !== nginx[i]) return told(`request ${i}`);
    if (ours.length === nginx.length) return null;
    if (ours.length < nginx.length) {
      const { refused } = readOurRequests(bytes);
      return refused !== null && refused in STRICTER_THAN_NGINX
        ? null
        : told(`nginx passed more on; we refused with ${refused}`);
    }
    // nginx looks for the letters anywhere in the field: CLOSESE closes too.
    if (/^connection:[^\r\n]*close/im.test(input)) return null;
    const status = Number([...nginxAnswer.matchAll(/HTTP\/1\.1 (\d{3}) /g)].at(-1)?.[1] ?? 0);
    return status === 400 || status === 405 || status === 414 || status === 501
      ? null
      : told(`we passed more on; nginx's last answer was ${status}`);
  }
}

function shown(messages: readonly Message[]): string[] {
  return messages
    .filter(({ complete }) => complete)
    .map(({ method, target, body }) => JSON.stringify([method, readTarget(target), body]));
}
