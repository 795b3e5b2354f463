import { expect, test } from 'vitest';
import type { Answer } from './answer.ts';
import { type NameTime, WatchedName } from './watched-name.ts';

const KEEP_MS = 30_000;

/** A clock that is moved by hand, and questions answered by hand. */
class Bench implements NameTime {
  nowMs = 0;
  randomness = 0;
  asked = 0;
  changes = 0;
  waitMs = Number.NaN;
  #run: () => void = () => {};
  #answer: (answer: Answer<string>) => void = () => {};
  readonly watch: WatchedName<string>;

  constructor(minTtlMs = 1_000, maxTtlMs = 60_000) {
    this.watch = new WatchedName<string>({
      ask: () => {
        this.asked++;
        return new Promise((resolve) => {
          this.#answer = resolve;
        });
      },
      combine: (found, before) => (found === 'half' ? `half+${before}` : found),
      minTtlMs,
      maxTtlMs,
      keepAfterNoneMs: KEEP_MS,
      onChange: () => {
        this.changes++;
      },
      onResult: () => {},
      time: this,
    });
  }

  now = (): number => this.nowMs;
  random = (): number => this.randomness;
  setTimer = (run: () => void, delayMs: number): (() => void) => {
    this.#run = run;
    this.waitMs = delayMs;
    return () => {
      this.#run = () => {};
    };
  };

  /** Answers the question that is open. */
  async answer(answer: Answer<string>): Promise<void> {
    this.#answer(answer);
    await new Promise((resolve) => setImmediate(resolve));
  }

  /** Lets the wait pass: the next question is asked. */
  pass(): void {
    this.nowMs += this.waitMs;
    this.#run();
  }
}

const found = (value: string, ttlMs = 10_000): Answer<string> => ({ kind: 'found', value, ttlMs });
const failed: Answer<string> = { kind: 'failed', code: 'ESERVFAIL' };
const none: Answer<string> = { kind: 'none' };

test('asked again before the answer expires, at a time that varies', async () => {
  const bench = new Bench();
  await bench.answer(found('a'));
  expect(bench.waitMs).toBe(7_500);
  expect(bench.watch.leftMs).toBe(10_000);
  bench.pass();
  bench.randomness = 0.999;
  await bench.answer(found('a'));
  expect(bench.waitMs).toBeGreaterThan(9_000);
  expect(bench.waitMs).toBeLessThan(10_000);
  expect(bench.asked).toBe(2);
});

test('the TTL counts between the two bounds', async () => {
  const bench = new Bench(2_000, 8_000);
  await bench.answer(found('a', 0));
  expect(bench.watch.leftMs).toBe(2_000);
  bench.pass();
  await bench.answer(found('a', 3_600_000));
  expect(bench.watch.leftMs).toBe(8_000);
});

test('an answer outlives failures however long, with back-off, and its age shows', async () => {
  const bench = new Bench();
  await bench.answer(found('a'));
  const waits: number[] = [];
  for (let i = 0; i < 12; i++) {
    bench.pass();
    await bench.answer(failed);
    waits.push(bench.waitMs);
  }
  expect(bench.watch.state).toEqual({ kind: 'found', value: 'a' });
  expect(bench.watch.staleMs).toBeGreaterThan(60_000);
  expect(bench.watch.error).toBe('ESERVFAIL');
  expect(bench.watch.trouble).toBeNull();
  expect(waits.slice(0, 6)).toEqual([500, 1_000, 2_000, 4_000, 8_000, 15_000]);
  expect(waits.at(-1)).toBe(15_000);
  bench.pass();
  await bench.answer(found('b'));
  expect(bench.watch.state).toEqual({ kind: 'found', value: 'b' });
  expect(bench.watch.staleMs).toBe(0);
  expect(bench.watch.error).toBe('');
});

test('"no such name" is believed after a bound, and forgotten when the name is back', async () => {
  const bench = new Bench();
  await bench.answer(found('a'));
  bench.pass();
  await bench.answer(none);
  const toldAtMs = bench.nowMs;
  while (bench.watch.state.kind === 'found') {
    expect(bench.nowMs - toldAtMs).toBeLessThanOrEqual(KEEP_MS);
    bench.pass();
    await bench.answer(none);
  }
  expect(bench.nowMs - toldAtMs).toBe(KEEP_MS);
  expect(bench.watch.trouble).toBe('does not exist');
  bench.pass();
  await bench.answer(failed);
  expect(bench.watch.state).toEqual({ kind: 'none' });
  bench.pass();
  await bench.answer(found('a'));
  expect(bench.watch.trouble).toBeNull();
});

test('a failure between two "no such name" starts the bound anew', async () => {
  const bench = new Bench();
  await bench.answer(found('a'));
  bench.pass();
  await bench.answer(none);
  bench.nowMs += KEEP_MS - 1;
  bench.pass();
  await bench.answer(failed);
  bench.pass();
  await bench.answer(none);
  expect(bench.watch.state.kind).toBe('found');
});

test('a name that never was is none at once; one nobody can tell of is trouble after a while', async () => {
  const missing = new Bench();
  await missing.answer(none);
  expect(missing.watch.state).toEqual({ kind: 'none' });
  const dark = new Bench();
  await dark.answer(failed);
  expect(dark.watch.state).toEqual({ kind: 'unknown' });
  expect(dark.watch.asked).toBe(true);
  expect(dark.watch.trouble).toBeNull();
  dark.pass();
  await dark.answer(failed);
  dark.pass();
  const before = dark.changes;
  await dark.answer(failed);
  expect(dark.watch.trouble).toBe("can't be resolved (ESERVFAIL)");
  expect(dark.changes).toBe(before + 1);
});

test('part of an answer is completed by what was known', async () => {
  const bench = new Bench();
  await bench.answer(found('a'));
  bench.pass();
  await bench.answer(found('half'));
  expect(bench.watch.state).toEqual({ kind: 'found', value: 'half+a' });
});

test('nothing is heard of one that is closed', async () => {
  const bench = new Bench();
  bench.watch.close();
  await bench.answer(found('a'));
  expect(bench.changes).toBe(0);
  expect(bench.watch.state.kind).toBe('unknown');
  expect(bench.waitMs).toBeNaN();
});
