/** What choosing an endpoint costs, by algorithm and number of endpoints: the data plane's own bench, in its words. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { figure, type Result, table } from '../report.ts';
import type { Scenario } from '../scenario.ts';
import type { Bench } from './bench.ts';

const run = promisify(execFile);
const root = join(import.meta.dirname, '..', '..', '..');

/** ns of the slowest algorithm with this number of endpoints, at most. */
const GOALS: Readonly<Record<string, number>> = { 8: 200, 1000: 1_000 };

export interface Pick {
  /** `peakEwma, 8 equal` */
  readonly name: string;
  readonly bestNs: number;
  readonly medianNs: number;
  readonly bytes: number;
}

export const scenario: Scenario = {
  name: 'pick',
  about: 'ns to choose an endpoint, by algorithm',
  order: 70,
  quick: false,
  run: pick,
};

export async function pick(bench: Bench): Promise<Result[]> {
  const argv = ['-c', String(bench.proxyCore), process.execPath, '--conditions=source', 'dataplane/bench/balance.ts'];
  const { stdout } = await run('taskset', argv, { cwd: root, timeout: 120_000, signal: bench.signal });
  const picks = parsePicks(stdout);
  const goals = Object.entries(GOALS).map(([count, atMost]) => {
    const slowest = picks.filter(({ name }) => new RegExp(`^\\w[^:]*, ${count} `).test(name));
    const ns = Math.max(...slowest.map(({ medianNs }) => medianNs));
    return `  ${count} endpoints, the slowest algorithm: ${figure(ns)} ns; goal: at most ${figure(atMost)}`;
  });
  bench.print(
    `\npick of an endpoint, ns\n${table(picks, [
      { title: 'what', cell: (row) => row.name },
      { title: 'best', cell: (row) => figure(row.bestNs) },
      { title: 'median', cell: (row) => figure(row.medianNs) },
      { title: 'garbage B', cell: (row) => String(row.bytes) },
    ])}\n${goals.join('\n')}`,
  );
  return picks.map(({ name, bestNs, medianNs, bytes }) => ({
    scenario: `pick: ${name}`,
    proxy: 'tidegate',
    ...{ cpuMicrosPerRequest: null, requestsPerSecond: null, p50Ms: null, p99Ms: null },
    ...{ peakRssMiB: null, ratioToNginx: null, extra: { bestNs, medianNs, bytes } },
  }));
}

/** Lines of `dataplane/bench/measure.ts`. Throws where there are none, so that a changed format is not taken for nothing. */
export function parsePicks(text: string): Pick[] {
  const found = [...text.matchAll(/^(.+?) +best +(\d+) ns +median +(\d+) ns +(-?\d+) B$/gm)];
  if (found.length === 0) throw new Error(`the bench printed no figures:\n${text}`);
  return found.map(([, name = '', best, median, bytes]) => ({
    ...{ name, bestNs: Number(best), medianNs: Number(median), bytes: Number(bytes) },
  }));
}
