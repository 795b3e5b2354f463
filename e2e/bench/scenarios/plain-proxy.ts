/** Every peer forwards the same GET: CPU a request, throughput, latency, memory. */
import { type Body, bodies } from '../peers/backend.ts';
import type { Peer } from '../peers/peer.ts';
import { proxyColumns, type Result, table } from '../report.ts';
import type { Scenario } from '../scenario.ts';
import type { Bench } from './bench.ts';
import { type Goal, ratioOf } from './compare.ts';
import { CONNECTIONS, resultsOf, type Started, startPeers, takeTurns } from './turns.ts';

export const scenario: Scenario = {
  name: 'proxy',
  about: 'the same GET through every proxy, for bodies of four sizes',
  order: 10,
  quick: true,
  run: plainProxy,
};

/** Both with the access log and without: peers write none. */
function goalsOf({ bytes }: Body): Goal[] {
  const against = [
    { against: 'nginx', atMost: 1.1 },
    { against: 'envoy', atMost: 0.8 },
    ...(bytes >= 65_536 ? [{ against: 'haproxy', atMost: 1 }] : []),
  ];
  return ['tidegate', 'tidegate-nolog'].flatMap((proxy) => against.map((goal) => ({ proxy, ...goal })));
}

export async function plainProxy(bench: Bench, peers: readonly Peer[]): Promise<Result[]> {
  const line = await startPeers(bench, peers, bodies.small);
  const results: Result[] = [];
  const { small, kib, large, mib } = bodies;
  for (const body of bench.quick ? [small, large] : [small, kib, large, mib]) {
    results.push(...(await withBody(bench, line.started, body)));
  }
  await line.stop();
  return results;
}

async function withBody(bench: Bench, started: readonly Started[], body: Body): Promise<Result[]> {
  const scenario = `plain proxy, ${sizeOf(body)}`;
  const seconds = bench.quick ? 1 : 3;
  const taken = await takeTurns(bench, started, { scenario, request: body, runs: bench.runs, seconds });
  const results = resultsOf(scenario, started, taken);
  const ratios = goalsOf(body).flatMap((goal) => ratioOf(goal, taken));
  bench.print(
    `\n${scenario}, ${CONNECTIONS} connections, median of ${bench.runs} × ${seconds} s\n` +
      `${table(results, proxyColumns)}\n${ratios.map(({ text }) => `  ${text}`).join('\n')}`,
  );
  return results;
}

function sizeOf({ bytes }: Body): string {
  if (bytes < 1024) return `${bytes} B`;
  return bytes < 1_048_576 ? `${bytes / 1024} KiB` : `${bytes / 1_048_576} MiB`;
}
