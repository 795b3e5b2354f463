/** A value that must not be seen: whatever prints it gets `[redacted]`. */
import { inspect } from 'node:util';

const REDACTED = '[redacted]';

export class Secret {
  readonly #bytes: Buffer;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes);
  }

  /** UTF-8, without the line break that editors leave at the end. */
  text(): string {
    return this.#bytes.toString('utf8').replace(/\r?\n$/, '');
  }

  bytes(): Buffer {
    return this.#bytes;
  }

  toString(): string {
    return REDACTED;
  }

  toJSON(): string {
    return REDACTED;
  }

  [inspect.custom](): string {
    return REDACTED;
  }
}
