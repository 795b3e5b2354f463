/** One of the endpoints takes 20 times as long as the others: what requests feel of it, at a fixed rate. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { median } from '../measure.ts';
import { answers } from '../peers/backend.ts';
import type { Peer } from '../peers/peer.ts';
import { freePorts } from '../ports.ts';
import { untilReady } from '../programs.ts';
import { figure, type Result, table } from '../report.ts';
import type { OpenLoopReport } from '../resilience/load-program.ts';
import { envoyPeer, haproxyPeer, nginxPeer } from '../resilience/others.ts';
import { ENDPOINTS } from '../resilience/settings.ts';
import { tidegatePeer } from '../resilience/tidegate.ts';
import type { Scenario } from '../scenario.ts';
import type { Bench } from './bench.ts';
import { loopbacks, type StartBackends, type Started, startPeers } from './turns.ts';

const run = promisify(execFile);
const program = (name: string) => join(import.meta.dirname, '..', 'resilience', name);

const WELL_MS = 5;
const SLOW_MS = 100;
/** A turn during which the load itself stood still so long says more about the machine; it is taken again, so often at most. */
const STILL_MS = 15;
const AGAIN = 3;
/** Requests a second; at the lower one an endpoint has nothing to do most of the time. */
const RATES = [400, 1_600] as const;

const peers: readonly Peer[] = [
  tidegatePeer('tidegate peakEwma', 'two choices by latency and requests in flight', { algorithm: 'peakEwma' }),
  tidegatePeer('tidegate leastRequest', 'two choices by requests in flight', { algorithm: 'leastRequest' }),
  tidegatePeer('tidegate roundRobin', 'in turn', { algorithm: 'roundRobin' }),
  envoyPeer('envoy', 'LEAST_REQUEST as it is by default', { leastRequest: true }),
  haproxyPeer('haproxy', 'leastconn', { leastRequest: true }),
  nginxPeer('nginx', 'least_conn', { leastRequest: true }),
];

const quickPeers: readonly string[] = ['tidegate peakEwma', 'tidegate roundRobin', 'envoy', 'haproxy'];

const goals = [
  { against: 'envoy', atMost: 0.5 },
  { against: 'tidegate roundRobin', atMost: 0.25 },
] as const;

export const scenario: Scenario = {
  name: 'slow-endpoint',
  about: 'one of 8 endpoints 20 times slower: p50 and p99',
  order: 50,
  quick: true,
  run: slowEndpoint,
};

export async function slowEndpoint(bench: Bench): Promise<Result[]> {
  const has = ({ needs }: Peer) => needs.every((need) => bench.binaries.has(need));
  const chosen = peers.filter((peer) => has(peer) && (!bench.quick || quickPeers.includes(peer.name)));
  const line = await startPeers(bench, chosen, { path: '/1', content: 'ok' }, 'slow-endpoint', delayed);
  const seconds = bench.quick ? 1 : 5;
  const runs = bench.quick ? 1 : Math.min(bench.runs, 3);
  const results: Result[] = [];
  for (const rate of bench.quick ? RATES.slice(0, 1) : RATES) {
    for (const one of line.started) await loadOn(bench, one, rate, 1);
    const taken = new Map<string, OpenLoopReport[]>(chosen.map(({ name }) => [name, []]));
    for (let turn = 1; turn <= runs; turn++) {
      for (const one of line.started) taken.get(one.peer.name)?.push(await oneTurn(bench, one, rate, seconds));
      bench.progress(`slow endpoint, ${rate}/s: turn ${turn} of ${runs}`);
    }
    results.push(...report(bench, rate, `${runs} × ${seconds} s`, taken));
  }
  await line.stop();
  return results;
}

const delayed: StartBackends = async (bench, dir) => {
  const [port = 0] = await freePorts(1);
  const addresses = loopbacks(ENDPOINTS);
  const endpoints = addresses.map((address, i) => `${address}:${i === 0 ? SLOW_MS : WELL_MS}`);
  const started = bench.programs.start('delayed backends', process.execPath, {
    args: [program('delay-program.ts'), String(port), ...endpoints],
    core: bench.loadCore,
    logFile: join(dir, 'out.log'),
  });
  await untilReady(started, () => answers(`http://${addresses.at(-1)}:${port}/`, 'ok'));
  return { endpoints: addresses.map((address) => ({ address, port })), stop: () => started.stop() };
};

async function oneTurn(bench: Bench, started: Started, rate: number, seconds: number): Promise<OpenLoopReport> {
  for (let turn = 1; ; turn++) {
    const taken = await loadOn(bench, started, rate, seconds);
    if (taken.longestGapMs < STILL_MS || bench.quick || turn > AGAIN) return taken;
    bench.progress(`slow endpoint: the load stood still for ${Math.round(taken.longestGapMs)} ms; once more`);
  }
}

async function loadOn(bench: Bench, { peer, url }: Started, rate: number, seconds: number): Promise<OpenLoopReport> {
  const argv = ['-c', String(bench.loadCore), process.execPath, program('load-program.ts'), url];
  const options = { timeout: seconds * 1000 + 30_000, signal: bench.signal };
  const { stdout } = await run('taskset', [...argv, String(rate), String(seconds)], options);
  const taken = JSON.parse(stdout) as OpenLoopReport;
  if (taken.failures > 0) throw new Error(`${peer.name}: ${taken.failures} of ${taken.requests} requests failed`);
  return taken;
}

function report(
  bench: Bench,
  rate: number,
  turns: string,
  taken: ReadonlyMap<string, readonly OpenLoopReport[]>,
): Result[] {
  const scenario = `slow endpoint, ${rate}/s`;
  const results = [...taken].map(([proxy, runs]): Result => {
    const of = (pick: (run: OpenLoopReport) => number) => median(runs.map(pick));
    return {
      ...{ scenario, proxy, cpuMicrosPerRequest: null, requestsPerSecond: rate, peakRssMiB: null, ratioToNginx: null },
      ...{ p50Ms: of((one) => one.p50Ms), p99Ms: of((one) => one.p99Ms) },
      extra: { maxMs: of((one) => one.maxMs), slowShare: of((one) => one.slowShare) },
    };
  });
  const p99Of = (name: string) => results.find(({ proxy }) => proxy === name)?.p99Ms;
  const own = p99Of('tidegate peakEwma') ?? Number.NaN;
  const lines = goals.flatMap(({ against, atMost }) => {
    const other = p99Of(against);
    if (typeof other !== 'number') return [];
    return [`  p99 of peakEwma ÷ ${against}: ${figure(own / other)}; goal: at most ${figure(atMost)}`];
  });
  bench.print(
    `\n${scenario}: one of ${ENDPOINTS} takes ${SLOW_MS} ms, the others ${WELL_MS}; median of ${turns}\n${table(
      results,
      [
        { title: 'proxy', cell: (row) => row.proxy },
        { title: 'p50 ms', cell: (row) => figure(row.p50Ms) },
        { title: 'p99 ms', cell: (row) => figure(row.p99Ms) },
        { title: 'longest ms', cell: (row) => figure(row.extra?.maxMs ?? null) },
        { title: 'at the slow one', cell: (row) => `${((row.extra?.slowShare ?? 0) * 100).toFixed(2)} %` },
      ],
    )}\n${lines.join('\n')}`,
  );
  return results;
}
