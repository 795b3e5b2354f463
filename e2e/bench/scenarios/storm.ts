/**
 * What other requests feel while new tokens pour in, each used once: a verification of RS256 or ES256 costs more than a whole proxied
 * request. Beside it the same rate of requests with known tokens, which is what the requests themselves do, and nothing at all.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { wholeStack } from '../access/policies.ts';
import { tidegateWith, withSections } from '../access/tidegate-variants.ts';
import { type SigningAlgorithm, TokenMaker } from '../access/tokens.ts';
import { ORIGIN } from '../access/what.ts';
import { writeWrkScript } from '../access/wrk-script.ts';
import { type LoadResult, load, median } from '../measure.ts';
import { bodies } from '../peers/backend.ts';
import { figure, type Result, table } from '../report.ts';
import type { Scenario } from '../scenario.ts';
import type { Bench } from './bench.ts';
import { startPeers } from './turns.ts';

/** Known tokens, and the rate of the requests that are measured: 16 connections that wait 4 ms before each. */
const KNOWN = 100;
const OTHERS = { connections: 16, delayMs: 4 };
/** At most 2,000 a second. */
const STORM = { connections: 32, delayMs: 16 };
/** The storm begins so much before and ends so much after what is measured, in seconds. */
const MARGIN = 1;

type Weather = 'nothing else' | 'known tokens' | `new ${SigningAlgorithm} tokens`;

interface Turn {
  readonly others: LoadResult;
  readonly storm: LoadResult | null;
}

export const scenario: Scenario = {
  name: 'storm',
  about: 'p99 of other requests while new tokens pour in',
  order: 30,
  quick: true,
  run: storm,
};

export async function storm(bench: Bench): Promise<Result[]> {
  const dir = join(bench.dir, 'storm-scripts');
  mkdirSync(dir, { recursive: true });
  const tokens = new TokenMaker();
  const known = tokens.many(KNOWN, 'RS256');
  const seconds = bench.quick ? 1 : 3;
  const { path, content } = bodies.small;
  const script = (name: string, values: readonly string[], delayMs: number, once: boolean): string =>
    writeWrkScript(dir, name, {
      ...{ path, headers: { Origin: ORIGIN }, name: 'Authorization', prefix: 'Bearer ', values, delayMs, once },
    });
  const peer = tidegateWith(
    'tidegate stack',
    'JWT, local limit, CORS, two edits',
    withSections(wholeStack(tokens.jwks)),
  );
  const headers = { Origin: ORIGIN, Authorization: `Bearer ${known[0]}` };
  const line = await startPeers(bench, [peer], { path, content, headers }, 'storm');
  const url = `${line.started[0]?.url}${path}`;
  const core = bench.loadCore;
  const calm = script('known', known, OTHERS.delayMs, false);
  const wet = script('known-storm', known, STORM.delayMs, false);
  await load({ url, core, connections: 64, seconds: bench.quick ? 1 : 3, script: script('warm', known, 0, false) });

  const fresh = (turn: number, algorithm: SigningAlgorithm): string => {
    const rate = (STORM.connections * 1000) / STORM.delayMs;
    const values = tokens.many(Math.ceil(rate * (seconds + 2 * MARGIN)), algorithm);
    return script(`${algorithm}-${turn}`, values, STORM.delayMs, true);
  };
  const weathers: readonly [Weather, (turn: number) => string | null][] = [
    ['nothing else', () => null],
    ['known tokens', () => wet],
    ['new RS256 tokens', (turn) => fresh(turn, 'RS256')],
    ['new ES256 tokens', (turn) => fresh(turn, 'ES256')],
  ];
  const turns = new Map<Weather, Turn[]>(weathers.map(([weather]) => [weather, []]));
  for (let turn = 1; turn <= bench.runs; turn++) {
    for (const [weather, scriptOf] of weathers) {
      const stormScript = scriptOf(turn);
      const blowing =
        stormScript === null
          ? null
          : load({ url, core, connections: STORM.connections, seconds: seconds + 2 * MARGIN, script: stormScript });
      if (blowing !== null) await new Promise((resolve) => setTimeout(resolve, MARGIN * 1000));
      const others = await load({ url, core, connections: OTHERS.connections, seconds, script: calm });
      const taken = { others, storm: await blowing };
      const failures = others.failures + (taken.storm?.failures ?? 0);
      if (failures > 0) throw new Error(`storm, ${weather}: ${failures} requests failed`);
      turns.get(weather)?.push(taken);
    }
    bench.progress(`storm: turn ${turn} of ${bench.runs}`);
  }
  await line.stop();
  return report(bench, turns, seconds);
}

function report(bench: Bench, turns: ReadonlyMap<Weather, readonly Turn[]>, seconds: number): Result[] {
  const results = [...turns].map(([weather, taken]): Result => {
    const of = (pick: (turn: Turn) => number) => median(taken.map(pick));
    return {
      scenario: `storm: others beside ${weather}`,
      proxy: 'tidegate stack',
      cpuMicrosPerRequest: null,
      requestsPerSecond: of(({ others }) => others.requestsPerSecond),
      p50Ms: of(({ others }) => others.p50Ms),
      p99Ms: of(({ others }) => others.p99Ms),
      peakRssMiB: null,
      ratioToNginx: null,
      extra: {
        stormRequestsPerSecond: of((turn) => turn.storm?.requestsPerSecond ?? 0),
        stormP99Ms: of((turn) => turn.storm?.p99Ms ?? 0),
        p99MsMin: Math.min(...taken.map(({ others }) => others.p99Ms)),
        p99MsMax: Math.max(...taken.map(({ others }) => others.p99Ms)),
      },
    };
  });
  const columns = [
    { title: 'others beside', cell: (row: Result) => row.scenario.replace(/^.* beside /, '') },
    { title: 'their requests/s', cell: (row: Result) => figure(row.requestsPerSecond) },
    { title: 'p50 ms', cell: (row: Result) => figure(row.p50Ms) },
    { title: 'p99 ms', cell: (row: Result) => figure(row.p99Ms) },
    {
      title: 'p99 of the turns',
      cell: ({ extra }: Result) => `${figure(extra?.p99MsMin ?? null)} to ${figure(extra?.p99MsMax ?? null)}`,
    },
    { title: "storm's requests/s", cell: ({ extra }: Result) => figure(extra?.stormRequestsPerSecond ?? null) },
    { title: 'its p99 ms', cell: ({ extra }: Result) => figure(extra?.stormP99Ms ?? null) },
  ];
  bench.print(`\nstorm of new tokens, median of ${bench.runs} × ${seconds} s\n${table(results, columns)}`);
  return results;
}
