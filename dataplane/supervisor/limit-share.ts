/**
 * This data plane's share of global limits: taken from the controller into the word that all workers read, and kept on disk for a start
 * without one. Whoever was never told has the whole: a data plane that has no controller and never had one is alone.
 */
import { isShare, packShare, type Share, unpackShare } from '../limit/share.ts';
import type { Log } from '../log.ts';
import type { Share as SharedOut } from '../snapshot/protocol.ts';
import type { LastShare } from '../sync/last-share.ts';

export class LimitShare {
  readonly #word: Int32Array;
  /** Null: nothing is kept on disk. */
  readonly #last: LastShare | null;
  readonly #log: Log;
  #told = false;

  constructor(memory: SharedArrayBuffer, last: LastShare | null, log: Log) {
    this.#word = new Int32Array(memory);
    this.#last = last;
    this.#log = log;
  }

  get share(): Share {
    return unpackShare(Atomics.load(this.#word, 0));
  }

  /** For the hello; null where nobody ever told. */
  get told(): SharedOut | null {
    const { place, of } = this.share;
    return this.#told ? { place, dataPlanes: of } : null;
  }

  /** A controller says so. What can't be one is not taken: the share before holds on. */
  take({ place, dataPlanes }: SharedOut): void {
    const share = { place, of: dataPlanes };
    if (!isShare(share)) {
      this.#log.error(
        { event: 'share', ...share },
        'a share of global limits that can not be; the one before holds on',
      );
      return;
    }
    const before = this.share;
    const first = !this.#told;
    this.#set(share);
    if (!first && before.place === place && before.of === dataPlanes) return;
    this.#log.info({ event: 'share', ...share }, 'global limits are shared out anew');
    void this.#last?.save(share);
  }

  /** Before a snapshot is served that no controller sent in this run. */
  async restore(): Promise<void> {
    const share = (await this.#last?.load()) ?? null;
    if (this.#told) return;
    if (share === null) this.#log.warn({ event: 'share' }, 'no share of global limits is known: the whole is taken');
    else this.#set(share);
  }

  #set(share: Share): void {
    this.#told = true;
    Atomics.store(this.#word, 0, packShare(share));
  }
}
