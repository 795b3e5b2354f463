/** How long a new route takes to be served: from a folder of files, and from a Kubernetes API server. */
import { execFile } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { percentile } from '../measure.ts';
import { startBackend } from '../peers/backend.ts';
import { ok, startController, startDataPlane } from '../peers/tidegate.ts';
import { freePorts } from '../ports.ts';
import { untilReady } from '../programs.ts';
import type { Report } from '../propagation/target.ts';
import { figure, type Result, table } from '../report.ts';
import type { Scenario } from '../scenario.ts';
import type { Bench } from './bench.ts';

const run = promisify(execFile);
const program = join(import.meta.dirname, '..', 'propagation', 'program.ts');

/** Routes there from the start, and routes added one by one. */
export const sizes = (bench: Bench) => (bench.quick ? { base: 100, more: 20 } : { base: 1000, more: 200 });

export const scenario: Scenario = {
  name: 'propagation',
  about: 'a new file until its route answers',
  order: 210,
  quick: true,
  run: propagationFromFiles,
};

export async function propagationFromFiles(bench: Bench): Promise<Result[]> {
  const nginx = bench.binaries.get('nginx') ?? 'nginx';
  const [backendPort = 0, port = 0] = await freePorts(2);
  const dir = join(bench.dir, 'files');
  const files = join(dir, 'config');
  for (const folder of [files, join(dir, 'backend')]) mkdirSync(folder, { recursive: true });
  const { programs, loadCore, proxyCore } = bench;
  const backend = await startBackend({ programs, dir: join(dir, 'backend'), port: backendPort, core: loadCore, nginx });
  const controller = await startController({ programs, dir, files, core: loadCore });
  const options = { programs, dir, port, core: proxyCore, workers: 1, accessLog: 'off' };
  const dataplane = await startDataPlane(options);
  await untilReady(dataplane.program, () => ok(dataplane.readyUrl));
  const { base, more } = sizes(bench);
  bench.progress(`propagation from files: ${base} routes, then ${more} one by one`);
  const argv = [
    process.execPath,
    program,
    'files',
    files,
    String(backendPort),
    dataplane.url,
    String(base),
    String(more),
  ];
  const report = await measurePropagation(argv, process.env);
  await Promise.all([dataplane.program, controller, backend].map((one) => one.stop()));
  return [present(bench, `propagation from files, ${base} routes`, report)];
}

/** Runs the measuring program to its end; its stdout is the report. */
export async function measurePropagation(argv: readonly string[], env: NodeJS.ProcessEnv): Promise<Report> {
  const [command = '', ...args] = argv;
  const { stdout } = await run(command, args, { env, timeout: 600_000, maxBuffer: 16 * 1024 * 1024 });
  return JSON.parse(stdout);
}

export function present(bench: Bench, scenario: string, report: Report): Result {
  const wrong = Object.values(report.wrong).reduce((sum, count) => sum + count, 0);
  const at = (values: readonly number[], share: number) => percentile(values, share);
  bench.print(
    `\n${scenario}, then ${report.firstMs.length} more\n${table(
      [
        { name: 'first data plane', times: report.firstMs },
        { name: 'all data planes', times: report.allMs },
      ],
      [
        { title: 'write to 200 by', cell: (row) => row.name },
        { title: 'p50 ms', cell: (row) => figure(at(row.times, 0.5)) },
        { title: 'p99 ms', cell: (row) => figure(at(row.times, 0.99)) },
        { title: 'max ms', cell: (row) => figure(Math.max(...row.times)) },
      ],
    )}\n  the first ${scenario.match(/\d+/)?.[0]} after ${figure(report.baseMs / 1000)} s; wrong answers: ${wrong} of ${report.answers}${
      wrong === 0 ? '' : ` (${JSON.stringify(report.wrong)})`
    }`,
  );
  return {
    scenario,
    proxy: 'tidegate',
    cpuMicrosPerRequest: null,
    requestsPerSecond: null,
    p50Ms: at(report.firstMs, 0.5),
    p99Ms: at(report.firstMs, 0.99),
    peakRssMiB: null,
    ratioToNginx: null,
    extra: {
      allP50Ms: at(report.allMs, 0.5),
      allP99Ms: at(report.allMs, 0.99),
      maxMs: Math.max(...report.allMs),
      baseMs: report.baseMs,
      wrongAnswers: wrong,
      answers: report.answers,
    },
  };
}
