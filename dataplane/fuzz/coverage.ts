/** Which parts of some of our files have run: V8's own count of blocks, asked through the inspector of this process. */
import { type Profiler, Session } from 'node:inspector';

export class Coverage {
  readonly #session = new Session();
  readonly #files: RegExp;
  /** By URL, for each character of the source: 1 where it has run. V8 joins blocks of one count, so that blocks themselves have no names to keep. */
  readonly #ran = new Map<string, Uint8Array>();

  /** `files`: of the URLs of scripts. */
  constructor(files: RegExp) {
    this.#files = files;
    this.#session.connect();
    this.#session.post('Profiler.enable');
    this.#session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  }

  /** Characters that ran since the last call, and never before where they are not to be kept. */
  fresh(keep: boolean): number {
    let found = 0;
    // In the same process the answer is there when `post` returns.
    this.#session.post('Profiler.takePreciseCoverage', (_error, { result }) => {
      for (const script of result) if (this.#files.test(script.url)) found += this.#freshOf(script, keep);
    });
    return found;
  }

  get characters(): number {
    let sum = 0;
    for (const ran of this.#ran.values()) for (const one of ran) sum += one;
    return sum;
  }

  stop(): void {
    this.#session.post('Profiler.stopPreciseCoverage');
    this.#session.disconnect();
  }

  #freshOf({ url, functions }: Profiler.ScriptCoverage, keep: boolean): number {
    const end = Math.max(...functions.map(({ ranges }) => ranges[0]?.endOffset ?? 0));
    const known = this.#ran.get(url);
    const ran = known !== undefined && known.length >= end ? known : new Uint8Array(end);
    if (known !== undefined && known !== ran) ran.set(known);
    if (keep) this.#ran.set(url, ran);
    let found = 0;
    for (const { ranges } of functions) {
      const [whole] = ranges;
      if (whole === undefined || whole.count === 0) continue;
      const now = new Uint8Array(whole.endOffset - whole.startOffset);
      // The whole first, then what lies within.
      for (const { startOffset, endOffset, count } of ranges)
        now.fill(count > 0 ? 1 : 0, startOffset - whole.startOffset, endOffset - whole.startOffset);
      for (let i = 0; i < now.length; i++) {
        if (now[i] === 0 || ran[whole.startOffset + i] === 1) continue;
        found++;
        if (keep) ran[whole.startOffset + i] = 1;
      }
    }
    return found;
  }
}
