/**
 * The last share of global limits on disk, beside the last good snapshot: who starts without a controller is still one of many. Without it, every
 * data plane of a cluster that restarts during an outage of the controllers would take the whole limit.
 */
import { mkdir, readFile, rename, unlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { messageOf } from '../errors.ts';
import { isShare, type Share } from '../limit/share.ts';
import type { Log } from '../log.ts';

const FILE = 'share.json';

export class LastShare {
  readonly #folder: string;
  readonly #log: Log;
  #writing: Promise<void> = Promise.resolve();

  constructor(folder: string, log: Log) {
    this.#folder = folder;
    this.#log = log;
  }

  get file(): string {
    return path.join(this.#folder, FILE);
  }

  /** Null where there is none, or none that can be used. */
  async load(): Promise<Share | null> {
    try {
      const { place, of } = JSON.parse(await readFile(this.file, 'utf8')) as Share;
      const share = { place, of };
      if (isShare(share)) return share;
      throw new Error('it holds no share');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
      this.#log.error({ file: this.file, error: messageOf(error) }, 'the last share of global limits is not used');
      return null;
    }
  }

  /** Never rejects: a full disk does not stop the gateway. Resolves when it, and all before it, is written or given up. */
  save(share: Share): Promise<void> {
    this.#writing = this.#writing.then(() => this.#write(share));
    return this.#writing;
  }

  async #write({ place, of }: Share): Promise<void> {
    const temporary = `${this.file}.${process.pid}`;
    try {
      await mkdir(this.#folder, { recursive: true, mode: 0o700 });
      await writeFile(temporary, `${JSON.stringify({ place, of })}\n`, { mode: 0o600 });
      await rename(temporary, this.file);
    } catch (error) {
      this.#log.warn({ error: messageOf(error) }, 'the share of global limits was not kept');
      await unlink(temporary).catch(() => {});
    }
  }
}
