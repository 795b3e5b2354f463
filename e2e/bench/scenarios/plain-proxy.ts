/** Every peer forwards the same GET: CPU a request, throughput, latency, memory. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { load, measure, median, type RunResult, residentMiB } from '../measure.ts';
import { answers, type Body, bodies, startBackend } from '../peers/backend.ts';
import type { Peer } from '../peers/peer.ts';
import { freePorts } from '../ports.ts';
import { type Program, untilReady } from '../programs.ts';
import { proxyColumns, type Result, table } from '../report.ts';
import type { Bench } from './bench.ts';

const CONNECTIONS = 64;

interface Started {
  readonly peer: Peer;
  readonly program: Program;
  readonly url: string;
}

/** Peers are started once, warmed up, then take turns (A B C A B C …), so that a slow moment of the machine hits all alike. */
export async function plainProxy(bench: Bench, peers: readonly Peer[]): Promise<Result[]> {
  const nginx = bench.binaries.get('nginx');
  if (nginx === undefined) throw new Error('the backend needs nginx');
  const [backendPort = 0, ...ports] = await freePorts(peers.length + 1);
  const folder = (name: string): string => {
    const dir = join(bench.dir, name.replaceAll(/[^a-z0-9+-]/g, '_'));
    mkdirSync(dir, { recursive: true });
    return dir;
  };
  const backend = await startBackend({
    programs: bench.programs,
    dir: folder('backend'),
    port: backendPort,
    core: bench.loadCore,
    nginx,
  });
  const started: Started[] = [];
  for (const [index, peer] of peers.entries()) {
    const port = ports[index] ?? 0;
    const context = {
      ...bench,
      dir: folder(peer.name),
      port,
      backendPort,
      core: bench.proxyCore,
      sideCore: bench.loadCore,
    };
    const program = await peer.start(context);
    const url = `http://127.0.0.1:${port}`;
    await untilReady(program, () => answers(url + bodies.small.path, bodies.small.content));
    started.push({ peer, program, url });
  }
  const results: Result[] = [];
  for (const body of [bodies.small, bodies.large]) {
    results.push(...(await withBody(bench, started, body)));
  }
  await Promise.all([backend, ...started.map(({ program }) => program)].map((program) => program.stop()));
  return results;
}

async function withBody(bench: Bench, started: readonly Started[], body: Body): Promise<Result[]> {
  const scenario = body.bytes < 1024 ? `plain proxy, ${body.bytes} B` : `plain proxy, ${body.bytes / 1024} KiB`;
  const seconds = bench.quick ? 1 : 5;
  const at = (url: string) => ({ url: url + body.path, connections: CONNECTIONS, core: bench.loadCore });
  for (const { peer, url } of started) {
    if (!(await answers(url + body.path, body.content))) throw new Error(`${peer.name}: wrong answer to ${body.path}`);
    // compilers and pools get warm; thrown away
    await load({ ...at(url), seconds: bench.quick ? 1 : 3 });
  }
  const runs = new Map<string, RunResult[]>(started.map(({ peer }) => [peer.name, []]));
  for (let turn = 1; turn <= bench.runs; turn++) {
    for (const { peer, program, url } of started) {
      const result = await measure(program.pid, { ...at(url), seconds });
      if (result.failures > 0)
        throw new Error(`${peer.name}: ${result.failures} of ${result.requests} requests failed`);
      runs.get(peer.name)?.push(result);
    }
    bench.progress(`${scenario}: turn ${turn} of ${bench.runs}`);
  }
  const reference = median((runs.get('nginx') ?? []).map((run) => run.cpuMicrosPerRequest));
  const results = started.map(({ peer, program }): Result => {
    const of = (pick: (run: RunResult) => number) => median((runs.get(peer.name) ?? []).map(pick));
    const cpu = (runs.get(peer.name) ?? []).map((run) => run.cpuMicrosPerRequest);
    return {
      scenario,
      proxy: peer.name,
      cpuMicrosPerRequest: median(cpu),
      requestsPerSecond: of((run) => run.requestsPerSecond),
      p50Ms: of((run) => run.p50Ms),
      p99Ms: of((run) => run.p99Ms),
      peakRssMiB: residentMiB(program.pid, 'VmHWM'),
      ratioToNginx: Number.isNaN(reference) ? null : median(cpu) / reference,
      extra: { coreShare: of((run) => run.coreShare), cpuSpread: (Math.max(...cpu) - Math.min(...cpu)) / median(cpu) },
    };
  });
  bench.print(
    `\n${scenario}, ${CONNECTIONS} connections, median of ${bench.runs} × ${seconds} s\n${table(results, proxyColumns)}`,
  );
  return results;
}
