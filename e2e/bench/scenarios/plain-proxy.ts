/** Every peer forwards the same GET: CPU a request, throughput, latency, memory. */
import { type Body, bodies } from '../peers/backend.ts';
import type { Peer } from '../peers/peer.ts';
import { proxyColumns, type Result, table } from '../report.ts';
import type { Scenario } from '../scenario.ts';
import type { Bench } from './bench.ts';
import { CONNECTIONS, resultsOf, type Started, startPeers, takeTurns } from './turns.ts';

export const scenario: Scenario = {
  name: 'proxy',
  about: 'the same GET through every proxy',
  order: 10,
  quick: true,
  run: plainProxy,
};

export async function plainProxy(bench: Bench, peers: readonly Peer[]): Promise<Result[]> {
  const line = await startPeers(bench, peers, bodies.small);
  const results: Result[] = [];
  for (const body of [bodies.small, bodies.large]) {
    results.push(...(await withBody(bench, line.started, body)));
  }
  await line.stop();
  return results;
}

async function withBody(bench: Bench, started: readonly Started[], body: Body): Promise<Result[]> {
  const scenario = body.bytes < 1024 ? `plain proxy, ${body.bytes} B` : `plain proxy, ${body.bytes / 1024} KiB`;
  const seconds = bench.quick ? 1 : 5;
  const taken = await takeTurns(bench, started, { scenario, request: body, runs: bench.runs, seconds });
  const results = resultsOf(scenario, started, taken);
  bench.print(
    `\n${scenario}, ${CONNECTIONS} connections, median of ${bench.runs} × ${seconds} s\n${table(results, proxyColumns)}`,
  );
  return results;
}
