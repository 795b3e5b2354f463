/** 10,000 kept connections that do nothing: what each takes of the proxy's memory. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { residentMiB } from '../measure.ts';
import { bodies } from '../peers/backend.ts';
import { envoy } from '../peers/envoy.ts';
import { haproxy } from '../peers/haproxy.ts';
import { nginx } from '../peers/nginx.ts';
import { tidegate } from '../peers/tidegate.ts';
import { figure, type Result, table } from '../report.ts';
import type { Scenario } from '../scenario.ts';
import type { Bench } from './bench.ts';
import { type Started, startPeers } from './turns.ts';

const program = join(import.meta.dirname, '..', 'idle-connections', 'holding-program.ts');
const COUNT = 10_000;
/** KiB a connection, at most. */
const GOAL = 8;
/** What opening them left behind is collected meanwhile. */
const SETTLED_MS = 5_000;

export const scenario: Scenario = {
  name: 'idle-connections',
  about: '10,000 idle kept connections: memory of each',
  order: 18,
  quick: true,
  run: idleConnections,
};

async function idleConnections(bench: Bench): Promise<Result[]> {
  const all = bench.quick ? [nginx, tidegate] : [nginx, tidegate, haproxy, envoy];
  const peers = all.filter(({ needs }) => needs.every((need) => bench.binaries.has(need)));
  const line = await startPeers(bench, peers, bodies.small, 'idle-connections');
  const results: Result[] = [];
  for (const started of line.started) results.push(await hold(bench, started));
  await line.stop();
  const extra = (name: string) => (row: Result) => figure(row.extra?.[name] ?? null);
  bench.print(
    `\n${COUNT} idle connections; goal: tidegate at most ${GOAL} KiB each\n${table(results, [
      { title: 'proxy', cell: (row) => row.proxy },
      { title: 'before MiB', cell: extra('beforeMiB') },
      { title: 'with them MiB', cell: extra('withMiB') },
      { title: 'KiB each', cell: extra('kibEach') },
    ])}`,
  );
  return results;
}

async function hold(bench: Bench, { peer, program: proxy, url }: Started): Promise<Result> {
  const beforeMiB = residentMiB(proxy.pid, 'VmRSS');
  const argv = ['-c', String(bench.loadCore), process.execPath, program, url + bodies.small.path, String(COUNT)];
  const client = spawn('taskset', argv, { stdio: ['pipe', 'pipe', 'inherit'], signal: bench.signal });
  let text = '';
  client.stdout.setEncoding('utf8').on('data', (part: string) => {
    text += part;
  });
  const ended = once(client, 'exit');
  while (!text.includes('held')) {
    if (client.exitCode !== null) throw new Error(`${peer.name}: the connections could not be opened`);
    await sleep(50, undefined, { signal: bench.signal });
  }
  await sleep(bench.quick ? SETTLED_MS / 5 : SETTLED_MS, undefined, { signal: bench.signal });
  const withMiB = residentMiB(proxy.pid, 'VmRSS');
  client.stdin.end();
  await ended;
  const closed = Number(/closed (\d+)/.exec(text)?.[1]);
  if (closed !== 0) throw new Error(`${peer.name}: ${closed} of the connections were closed meanwhile`);
  bench.progress(`idle connections: ${peer.name}`);
  return {
    ...{ scenario: `${COUNT} idle connections`, proxy: peer.name, cpuMicrosPerRequest: null, requestsPerSecond: null },
    ...{ p50Ms: null, p99Ms: null, peakRssMiB: withMiB, ratioToNginx: null },
    extra: { beforeMiB, withMiB, kibEach: ((withMiB - beforeMiB) * 1024) / COUNT },
  };
}
