/**
 * Counters of stages: a stage asks for its series when it is made and adds to it on the hot path; a scrape copies them. Series are those
 * of the configuration, and bounded: beyond `max` all further ones share one labelled `_other`.
 */
export interface Counter {
  value: number;
}

/** `name NUL label=value NUL …`, sorted, to value: so that workers' counts add up. */
export type StageCounts = ReadonlyMap<string, number>;

const OTHER = '_other';

export class StageCounters {
  readonly #max: number;
  readonly #counters = new Map<string, Counter>();

  constructor(max = 10_000) {
    this.#max = max;
  }

  /** The same counter for the same name and labels. */
  counter(name: string, labels: Readonly<Record<string, string>>): Counter {
    const key = keyOf(name, labels);
    const known = this.#counters.get(key);
    if (known !== undefined) return known;
    if (this.#counters.size >= this.#max && labels.policy !== OTHER) return this.counter(name, { policy: OTHER });
    const counter = { value: 0 };
    this.#counters.set(key, counter);
    return counter;
  }

  image(): StageCounts {
    return new Map(Array.from(this.#counters, ([key, { value }]) => [key, value]));
  }
}

export interface StageSample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** The sum of several workers' counts, by name. */
export function readStageCounts(images: Iterable<StageCounts>): StageSample[] {
  const sums = new Map<string, number>();
  for (const image of images) for (const [key, value] of image) sums.set(key, (sums.get(key) ?? 0) + value);
  return Array.from(sums, ([key, value]) => {
    const [name = '', ...pairs] = key.split('\0');
    const labels = pairs.map((pair): [string, string] => {
      const at = pair.indexOf('=');
      return [pair.slice(0, at), pair.slice(at + 1)];
    });
    return { name, labels: Object.fromEntries(labels), value };
  });
}

/** The counts of a worker that is no more, kept in the sum. */
export function addStageCounts(a: StageCounts, b: StageCounts): StageCounts {
  const sum = new Map(a);
  for (const [key, value] of b) sum.set(key, (sum.get(key) ?? 0) + value);
  return sum;
}

function keyOf(name: string, labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(([label, value]) => `${label}=${value}`);
  return [name, ...pairs.sort()].join('\0');
}
