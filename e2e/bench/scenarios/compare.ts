/** Groups of peers that run beside each other, and the ratios that were asked for. */
import { load, paired, type RunResult } from '../measure.ts';
import type { Peer } from '../peers/peer.ts';
import { figure, proxyColumns, type Result, table } from '../report.ts';
import type { Bench } from './bench.ts';
import {
  CONNECTIONS,
  type Request,
  resultsOf,
  type StartBackends,
  type Started,
  startPeers,
  takeTurns,
} from './turns.ts';

/** CPU a request of `proxy` by that of `against`, turn by turn; the median of these. */
export interface Goal {
  readonly proxy: string;
  readonly against: string;
  readonly atMost: number;
}

/** A request that must be answered so before anything is measured: shows that the sections are there. */
export interface Check {
  readonly proxies: readonly string[];
  readonly headers: Readonly<Record<string, string>>;
  readonly status: number;
}

export interface Contest {
  /** Left out of the short form. */
  readonly long?: true;
  /** Name of its folder. */
  readonly id: string;
  readonly name: string;
  readonly peers: readonly Peer[];
  readonly request: Request;
  readonly checks: readonly Check[];
  readonly goals: readonly Goal[];
  /** Of each peer, on both cores, beside the load; one on a core of its own when absent. */
  readonly workers?: number;
  /** One nginx when absent. */
  readonly backends?: StartBackends;
  /** Requests to a path of `proxy` before the turns, so that its code has run. */
  readonly before?: { readonly proxy: string; readonly request: Request };
}

/** Starts of all peers: what the compilers of one process happen to do is part of the spread, and more than some of the ratios asked for. */
const ROUNDS = 3;
/** Shorter turns and more of them than for plain proxying, for the same reason. */
const TURN_SECONDS = 3;

/** Prints a table and the ratios; `part` is the first word of the scenario's name. */
export async function compare(bench: Bench, part: string, contest: Contest): Promise<Result[]> {
  const peers = contest.peers.filter(({ needs }) => needs.every((need) => bench.binaries.has(need)));
  const scenario = `${part}: ${contest.name}`;
  const [rounds, runs, seconds] = bench.quick
    ? [1, 1, 1]
    : [ROUNDS, Math.ceil((bench.runs * 2) / ROUNDS), TURN_SECONDS];
  const taken = new Map<string, RunResult[]>(peers.map(({ name }) => [name, []]));
  let results: Result[] = [];
  for (let round = 1; round <= rounds; round++) {
    const line = await startPeers(
      bench,
      peers,
      contest.request,
      `${contest.id}-${round}`,
      contest.backends,
      contest.workers,
    );
    await check(line.started, contest);
    await runBefore(bench, line.started, contest);
    const turns = { scenario: `${scenario}, start ${round}`, request: contest.request, runs, seconds };
    for (const [name, ofRound] of await takeTurns(bench, line.started, turns)) taken.get(name)?.push(...ofRound);
    results = resultsOf(scenario, line.started, taken);
    await line.stop();
  }
  const ratios = contest.goals.flatMap((goal) => ratioOf(goal, taken));
  bench.print(
    `\n${scenario}, ${CONNECTIONS} connections, median of ${rounds} × ${runs} × ${seconds} s\n` +
      `${table(results, proxyColumns)}\n${ratios.map(({ text }) => `  ${text}`).join('\n')}`,
  );
  return results.map((result) => {
    const own = ratios.filter(({ goal }) => goal.proxy === result.proxy);
    const named = own.map(({ goal, ratio }) => [`ratio to ${goal.against}`, ratio] as const);
    return { ...result, extra: { ...result.extra, ...Object.fromEntries(named) } };
  });
}

async function runBefore(bench: Bench, started: readonly Started[], { before }: Contest): Promise<void> {
  const warm = started.find(({ peer }) => peer.name === before?.proxy);
  if (before?.request.script === undefined || warm === undefined) return;
  const { path, script } = before.request;
  await load({ url: warm.url + path, connections: CONNECTIONS, core: bench.loadCore, seconds: 1, script });
}

export interface Ratio {
  readonly goal: Goal;
  readonly ratio: number;
  readonly text: string;
}

/** Empty where one of both did not run. */
export function ratioOf(goal: Goal, taken: ReadonlyMap<string, readonly RunResult[]>): Ratio[] {
  const cpuOf = (name: string) => taken.get(name)?.map((run) => run.cpuMicrosPerRequest);
  const [own, against] = [cpuOf(goal.proxy), cpuOf(goal.against)];
  if (own === undefined || against === undefined) return [];
  const { ratio, least, most } = paired(own, against);
  const range = `${figure(least)} to ${figure(most)}`;
  const text = `${goal.proxy} ÷ ${goal.against}: ${figure(ratio)} (${range}); goal: at most ${figure(goal.atMost)}`;
  return [{ goal, ratio, text }];
}

async function check(started: readonly Started[], contest: Contest): Promise<void> {
  for (const { proxies, headers, status } of contest.checks) {
    for (const { peer, url } of started) {
      if (!proxies.includes(peer.name)) continue;
      const answer = await fetch(url + contest.request.path, { headers });
      await answer.body?.cancel();
      if (answer.status !== status) throw new Error(`${peer.name}: ${answer.status} where ${status} is right`);
    }
  }
}
