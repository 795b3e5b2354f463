/**
 * Keys of session tickets (RFC 5077, RFC 8446 section 4.6.1), the same in all workers and over their restarts, with nobody asked: each epoch's
 * secret is the hash of the one before, which is forgotten. So who learns today's secret can't read what was recorded in epochs before.
 */
import { createHash, createHmac, randomBytes } from 'node:crypto';

export const EPOCH_MS = 12 * 3_600_000;

export interface TicketSecret {
  readonly epoch: number;
  /** 32 bytes. */
  readonly secret: Uint8Array;
}

export class TicketKeys {
  #epoch: number;
  #secret: Uint8Array;

  constructor({ epoch, secret }: TicketSecret) {
    this.#epoch = epoch;
    this.#secret = secret;
  }

  static random(epochMs: number): TicketKeys {
    return new TicketKeys({ epoch: Math.floor(epochMs / EPOCH_MS), secret: randomBytes(32) });
  }

  /** Goes on to the epoch of `epochMs`; true: keys are others now. A clock that goes back changes nothing. */
  advance(epochMs: number): boolean {
    const epoch = Math.floor(epochMs / EPOCH_MS);
    if (epoch <= this.#epoch) return false;
    for (; this.#epoch < epoch; this.#epoch++) this.#secret = createHash('sha256').update(this.#secret).digest();
    return true;
  }

  /** For a worker that starts. */
  get current(): TicketSecret {
    return { epoch: this.#epoch, secret: this.#secret };
  }

  /** 48 bytes as node:tls takes them; others for each `purpose`, so that a ticket counts only where it was made. */
  keyFor(purpose: string): Buffer {
    return createHmac('sha384', this.#secret).update(purpose).digest();
  }
}
