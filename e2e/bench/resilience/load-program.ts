/** A load at a fixed rate, run as a program: `node load-program.ts URL RATE SECONDS`. Its figures go to stdout as JSON. */
import { setTimeout as sleep } from 'node:timers/promises';
import { OpenLoop } from '../../chaos/open-loop.ts';
import { percentile } from '../measure.ts';

/** Figures of `node load-program.ts`. */
export interface OpenLoopReport {
  readonly requests: number;
  readonly failures: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  /** Share of the requests that took at least `SLOW_MS`. */
  readonly slowShare: number;
  /** The longest the program itself did not get to run, ms. */
  readonly longestGapMs: number;
}

/** Of the slow endpoint's delay, what no other request takes. */
const SLOW_MS = 80;

const [url, rate, seconds] = process.argv.slice(2);
if (url === undefined || seconds === undefined) throw new Error('usage: load-program.ts URL RATE SECONDS');
const load = new OpenLoop({ url, rate: Number(rate), timeoutMs: 5_000 });
await sleep(Number(seconds) * 1000);
await load.stop();
const times = load.samples.map(({ ms }) => ms);
const report: OpenLoopReport = {
  requests: times.length,
  failures: load.samples.filter(({ outcome }) => outcome !== 200).length,
  p50Ms: percentile(times, 0.5),
  p99Ms: percentile(times, 0.99),
  maxMs: Math.max(...times),
  longestGapMs: load.longestGapMs,
  slowShare: times.filter((ms) => ms >= SLOW_MS).length / times.length,
};
console.log(JSON.stringify(report));
