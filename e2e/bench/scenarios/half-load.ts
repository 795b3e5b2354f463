/** p99 that a proxy adds at half of what it can do, against asking the backend directly at the same rate. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { PacedReport } from '../half-load/paced-program.ts';
import { load, median } from '../measure.ts';
import { bodies } from '../peers/backend.ts';
import { haproxy } from '../peers/haproxy.ts';
import { nginx } from '../peers/nginx.ts';
import { urlOf } from '../peers/peer.ts';
import { tidegate } from '../peers/tidegate.ts';
import { figure, type Result, table } from '../report.ts';
import type { Scenario } from '../scenario.ts';
import type { Bench } from './bench.ts';
import { CONNECTIONS, nginxAt, startPeers } from './turns.ts';

const run = promisify(execFile);
const program = join(import.meta.dirname, '..', 'half-load', 'paced-program.ts');
/** ms of p99, at most. */
const GOAL = 0.5;

export const scenario: Scenario = {
  name: 'half-load',
  about: 'p99 that a proxy adds at half of saturation, in an open loop',
  order: 16,
  quick: false,
  run: halfLoad,
};

interface Turn {
  readonly rate: number;
  readonly direct: PacedReport;
  readonly proxied: PacedReport;
}

/** Each turn: what wrk gets through the proxy, then half of that directly and through it, one after the other. */
async function halfLoad(bench: Bench): Promise<Result[]> {
  const { small } = bodies;
  let direct = '';
  const peers = [nginx, tidegate, haproxy].filter(({ needs }) => needs.every((need) => bench.binaries.has(need)));
  const line = await startPeers(bench, peers, small, 'half-load', async (...given) => {
    const backends = await nginxAt()(...given);
    direct = urlOf(backends.endpoints[0]);
    return backends;
  });
  const seconds = 4;
  const taken = new Map<string, Turn[]>(peers.map(({ name }) => [name, []]));
  const saturation = { connections: CONNECTIONS, core: bench.loadCore, seconds: 2 };
  for (let turn = 0; turn <= bench.runs; turn++) {
    for (const { peer, url } of line.started) {
      const { requestsPerSecond } = await load({ ...saturation, url: url + small.path });
      if (turn === 0) continue; // compilers and pools get warm
      const rate = Math.round(requestsPerSecond / 2);
      const at = (base: string) => paced(bench, base + small.path, rate, seconds);
      taken.get(peer.name)?.push({ rate, direct: await at(direct), proxied: await at(url) });
    }
    if (turn > 0) bench.progress(`half load: turn ${turn} of ${bench.runs}`);
  }
  await line.stop();
  return report(bench, seconds, taken);
}

async function paced(bench: Bench, url: string, rate: number, seconds: number): Promise<PacedReport> {
  const argv = ['-c', String(bench.loadCore), process.execPath, program, url, String(rate), String(seconds)];
  const options = { timeout: seconds * 1000 + 20_000, signal: bench.signal };
  const { stdout } = await run('taskset', [...argv, String(CONNECTIONS)], options);
  const figures = JSON.parse(stdout) as PacedReport;
  if (figures.failures > 0) throw new Error(`${url}: ${figures.failures} of ${figures.requests} requests failed`);
  return figures;
}

function report(bench: Bench, seconds: number, taken: ReadonlyMap<string, readonly Turn[]>): Result[] {
  const results = [...taken].map(([proxy, turns]): Result => {
    const of = (pick: (turn: Turn) => number) => median(turns.map(pick));
    return {
      ...{ scenario: 'half load', proxy, cpuMicrosPerRequest: null, peakRssMiB: null, ratioToNginx: null },
      ...{ requestsPerSecond: of(({ rate }) => rate) },
      ...{ p50Ms: of(({ proxied }) => proxied.p50Ms), p99Ms: of(({ proxied }) => proxied.p99Ms) },
      extra: {
        directP99Ms: of(({ direct }) => direct.p99Ms),
        addedP50Ms: of(({ direct, proxied }) => proxied.p50Ms - direct.p50Ms),
        addedP99Ms: of(({ direct, proxied }) => proxied.p99Ms - direct.p99Ms),
        longestGapMs: of(({ proxied }) => proxied.longestGapMs),
      },
    };
  });
  const extra = (name: string) => (row: Result) => figure(row.extra?.[name] ?? null);
  bench.print(
    `\nhalf of saturation, open loop, median of ${bench.runs} × ${seconds} s; goal: tidegate adds at most ${GOAL} ms of p99\n${table(
      results,
      [
        { title: 'proxy', cell: (row) => row.proxy },
        { title: 'requests/s', cell: (row) => figure(row.requestsPerSecond) },
        { title: 'p50 ms', cell: (row) => figure(row.p50Ms) },
        { title: 'p99 ms', cell: (row) => figure(row.p99Ms) },
        { title: 'p99 direct', cell: extra('directP99Ms') },
        { title: 'adds p50', cell: extra('addedP50Ms') },
        { title: 'adds p99', cell: extra('addedP99Ms') },
        { title: 'load still for', cell: extra('longestGapMs') },
      ],
    )}`,
  );
  return results;
}
