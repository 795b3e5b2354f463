/** What authentication, limits, CORS and edits cost a request, beside plain proxying and beside Envoy. */

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { startRedis } from '../../components/redis.ts';
import { type Contest, contests, type Goal } from '../access/contests.ts';
import { TokenMaker } from '../access/tokens.ts';
import { load, paired, type RunResult } from '../measure.ts';
import { figure, proxyColumns, type Result, table } from '../report.ts';
import type { Bench } from './bench.ts';
import { CONNECTIONS, resultsOf, type Started, startPeers, takeTurns } from './turns.ts';

export async function access(bench: Bench): Promise<Result[]> {
  const dir = join(bench.dir, 'access');
  mkdirSync(dir, { recursive: true });
  const redis = await startRedis();
  if (redis !== undefined) bench.atEnd(() => redis.stop());
  const results: Result[] = [];
  for (const contest of contests({ dir, tokens: new TokenMaker(), redisUrl: redis?.url })) {
    results.push(...(await compare(bench, contest)));
  }
  await redis?.stop();
  return results;
}

export async function compare(bench: Bench, contest: Contest): Promise<Result[]> {
  const peers = contest.peers.filter(({ needs }) => needs.every((need) => bench.binaries.has(need)));
  const line = await startPeers(bench, peers, contest.request, contest.id);
  await check(line.started, contest);
  const { before } = contest;
  const warm = line.started.find(({ peer }) => peer.name === before?.proxy);
  if (before?.request.script !== undefined && warm !== undefined) {
    const { path, script } = before.request;
    await load({ url: warm.url + path, connections: CONNECTIONS, core: bench.loadCore, seconds: 1, script });
  }
  const scenario = `access: ${contest.name}`;
  // Shorter turns and more of them than for plain proxying: the ratios asked for are closer to 1.
  const [runs, seconds] = bench.quick ? [1, 1] : [bench.runs * 2, 3];
  const taken = await takeTurns(bench, line.started, { scenario, request: contest.request, runs, seconds });
  const results = resultsOf(scenario, line.started, taken);
  await line.stop();
  const ratios = contest.goals.flatMap((goal) => ratioOf(goal, taken));
  bench.print(
    `\n${scenario}, ${CONNECTIONS} connections, median of ${runs} × ${seconds} s\n${table(results, proxyColumns)}\n` +
      ratios.map(({ text }) => `  ${text}`).join('\n'),
  );
  return results.map((result) => {
    const own = ratios.filter(({ goal }) => goal.proxy === result.proxy);
    const named = own.map(({ goal, ratio }) => [`ratio to ${goal.against}`, ratio] as const);
    return { ...result, extra: { ...result.extra, ...Object.fromEntries(named) } };
  });
}

interface Ratio {
  readonly goal: Goal;
  readonly ratio: number;
  readonly text: string;
}

/** Empty where one of both did not run. */
function ratioOf(goal: Goal, taken: ReadonlyMap<string, readonly RunResult[]>): Ratio[] {
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
