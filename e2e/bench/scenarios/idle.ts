/** A data plane that has nothing to do: memory, CPU, and how long it took to become ready. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { cpuSeconds, median, residentMiB } from '../measure.ts';
import { backendYaml, ok, routeYaml, startController, startDataPlane } from '../peers/tidegate.ts';
import { freePorts } from '../ports.ts';
import { untilReady } from '../programs.ts';
import { figure, type Result, table } from '../report.ts';
import type { Scenario } from '../scenario.ts';
import type { Bench } from './bench.ts';

interface Idle {
  readonly workers: number;
  readonly readyMs: number;
  readonly residentMiB: number;
  readonly cpuShare: number;
}

export const scenario: Scenario = {
  name: 'idle',
  about: 'memory, CPU and start of a data plane without load',
  order: 200,
  quick: true,
  run: idle,
};

/** The controller runs already; each turn starts a data plane anew, with an empty state folder, and looks at it. */
export async function idle(bench: Bench): Promise<Result[]> {
  const [backendPort = 0] = await freePorts(1);
  const dir = join(bench.dir, 'idle');
  const files = join(dir, 'config');
  mkdirSync(files, { recursive: true });
  writeFileSync(join(files, 'gateway.yaml'), `${backendYaml(backendPort)}---\n${routeYaml('all', '/')}`);
  const controller = await startController({ programs: bench.programs, dir, files, core: bench.loadCore });
  const seen: Idle[] = [];
  for (const workers of [1, 2]) {
    for (let turn = 1; turn <= bench.runs; turn++) {
      seen.push(await oneStart(bench, dir, workers));
      bench.progress(`idle: ${workers} worker${workers === 1 ? '' : 's'}, start ${turn} of ${bench.runs}`);
    }
  }
  await controller.stop();
  const rows = [1, 2].map((workers) => {
    const of = (pick: (one: Idle) => number) => median(seen.filter((one) => one.workers === workers).map(pick));
    return {
      workers,
      readyMs: of((one) => one.readyMs),
      residentMiB: of((one) => one.residentMiB),
      cpuShare: of((one) => one.cpuShare),
    };
  });
  bench.print(
    `\nidle data plane, median of ${bench.runs} starts\n${table(rows, [
      { title: 'workers', cell: (row) => String(row.workers) },
      { title: 'ready after ms', cell: (row) => figure(row.readyMs) },
      { title: 'resident MiB', cell: (row) => figure(row.residentMiB) },
      { title: 'a worker', cell: (row) => figure(row.residentMiB / row.workers) },
      { title: '% of a core', cell: (row) => figure(row.cpuShare * 100) },
    ])}`,
  );
  return rows.map((row) => ({
    scenario: `idle, ${row.workers} worker${row.workers === 1 ? '' : 's'}`,
    proxy: 'tidegate',
    cpuMicrosPerRequest: null,
    requestsPerSecond: null,
    p50Ms: null,
    p99Ms: null,
    peakRssMiB: row.residentMiB,
    ratioToNginx: null,
    extra: { readyMs: row.readyMs, residentMiBPerWorker: row.residentMiB / row.workers, cpuShare: row.cpuShare },
  }));
}

async function oneStart(bench: Bench, dir: string, workers: number): Promise<Idle> {
  const [port = 0] = await freePorts(1);
  const own = join(dir, `state-${workers}-${Math.trunc(performance.now())}`);
  const startedAt = performance.now();
  const { program, readyUrl } = await startDataPlane({
    programs: bench.programs,
    dir,
    stateDir: own,
    port,
    core: bench.proxyCore,
    workers,
    accessLog: 'off',
  });
  await untilReady(program, () => ok(readyUrl), 20_000, 5);
  const readyMs = performance.now() - startedAt;
  // what starting left behind settles first
  await sleep(bench.quick ? 500 : 3000);
  const seconds = bench.quick ? 1 : 10;
  const before = cpuSeconds(program.pid);
  await sleep(seconds * 1000);
  const cpuShare = (cpuSeconds(program.pid) - before) / seconds;
  const resident = residentMiB(program.pid, 'VmRSS');
  await program.stop();
  return { workers, readyMs, residentMiB: resident, cpuShare };
}
