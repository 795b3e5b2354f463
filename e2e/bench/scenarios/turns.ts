/** Peers side by side: started once, warmed up, then they take turns (A B C A B C …), so that a slow moment of the machine hits all alike. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Client, http1 } from '../client.ts';
import { measure, median, type RunResult, residentMiB } from '../measure.ts';
import { answers, startBackend } from '../peers/backend.ts';
import { type Endpoint, type Peer, urlOf } from '../peers/peer.ts';
import { freePorts } from '../ports.ts';
import { type Program, untilReady } from '../programs.ts';
import type { Result } from '../report.ts';
import type { Bench } from './bench.ts';

export const CONNECTIONS = 64;

export interface Started {
  readonly peer: Peer;
  readonly program: Program;
  readonly url: string;
}

/** One kind of request, and what every peer has to answer. */
export interface Request {
  readonly path: string;
  readonly content: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Lua file that has wrk send more than one kind. */
  readonly script?: string;
  /** How the peers are asked; `http1` when absent. */
  readonly client?: Client;
  /** `CONNECTIONS` when absent. */
  readonly connections?: number;
}

export interface Turns {
  readonly scenario: string;
  readonly request: Request;
  readonly runs: number;
  readonly seconds: number;
}

export interface Line {
  readonly started: readonly Started[];
  stop(): Promise<void>;
}

/** What stands behind the peers; it stops with the benchmark's programs, or before. */
export interface Backends {
  readonly endpoints: readonly Endpoint[];
  /** Was asked for the right answer already, as it speaks no HTTP/1.1. */
  readonly checked?: true;
  stop(): Promise<void>;
}

/** `dir` is made already. */
export type StartBackends = (bench: Bench, dir: string) => Promise<Backends>;

/** One nginx. Several endpoints are on an address each, so that none can be the own end of somebody's connection. */
export function nginxAt(count = 1): StartBackends {
  return async (bench, dir) => {
    const [port = 0] = await freePorts(1);
    const addresses = count === 1 ? ['127.0.0.1'] : loopbacks(count);
    const program = await startBackend({
      ...{ programs: bench.programs, dir, port, addresses, core: bench.loadCore, nginx: nginxBinary(bench) },
    });
    return { endpoints: addresses.map((address) => ({ address, port })), stop: () => program.stop() };
  };
}

export function loopbacks(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `127.0.0.${21 + i}`);
}

export function nginxBinary(bench: Bench): string {
  const nginx = bench.binaries.get('nginx');
  if (nginx === undefined) throw new Error('the backend needs nginx');
  return nginx;
}

/** Starts the backends, then all peers in front of them. Resolves when each answers. */
export async function startPeers(
  bench: Bench,
  peers: readonly Peer[],
  request: Request,
  name = 'peers',
  startBackends: StartBackends = nginxAt(),
  workers = 1,
): Promise<Line> {
  const core = workers === 1 ? bench.proxyCore : `${bench.proxyCore},${bench.loadCore}`;
  const folder = (of: string): string => {
    const dir = join(bench.dir, name, of.replaceAll(/[^a-z0-9+-]/g, '_'));
    mkdirSync(dir, { recursive: true });
    return dir;
  };
  const backends = await startBackends(bench, folder('backend'));
  const { endpoints } = backends;
  const first = urlOf(endpoints[0]);
  if (backends.checked !== true && !(await answers(first + request.path, request.content)))
    throw new Error(`no right answer from ${first}`);
  const started: Started[] = [];
  for (const peer of peers) {
    started.push(
      await again(async () => {
        // Asked for late: a port that is free now may be somebody's a minute later.
        const [port = 0] = await freePorts(1);
        const dir = folder(peer.name);
        const program = await peer.start({
          ...bench,
          ...{ dir, port, endpoints, core, workers, sideCore: bench.loadCore },
        });
        const client = request.client ?? http1;
        const url = `${client.scheme}://127.0.0.1:${port}`;
        await untilReady(program, () => client.answers(url + request.path, request.content, request.headers));
        return { peer, program, url };
      }),
    );
  }
  return {
    started,
    stop: async () => {
      await Promise.all(started.map(({ program }) => program.stop()));
      await backends.stop();
    },
  };
}

/** Once more where it fails: another program may have taken the port. */
async function again<T>(start: () => Promise<T>): Promise<T> {
  try {
    return await start();
  } catch {
    return await start();
  }
}

/** Runs by peer name, in the order of the turns. Throws when any request failed. */
export async function takeTurns(
  bench: Bench,
  started: readonly Started[],
  { scenario, request, runs, seconds }: Turns,
): Promise<ReadonlyMap<string, readonly RunResult[]>> {
  const client = request.client ?? http1;
  const at = (url: string) => ({
    url: url + request.path,
    connections: request.connections ?? CONNECTIONS,
    core: bench.loadCore,
    ...(request.script !== undefined && { script: request.script }),
  });
  for (const { peer, url } of started) {
    if (!(await client.answers(url + request.path, request.content, request.headers)))
      throw new Error(`${peer.name}: wrong answer to ${request.path}`);
    // Compilers and pools get warm; thrown away. In the short form only those that compile while they run, which need no binary.
    if (!bench.quick || peer.needs.length === 0) await client.load({ ...at(url), seconds: bench.quick ? 1 : 3 });
  }
  const taken = new Map<string, RunResult[]>(started.map(({ peer }) => [peer.name, []]));
  for (let turn = 1; turn <= runs; turn++) {
    for (const { peer, program, url } of started) {
      const result = await measure(program.pid, { ...at(url), seconds }, client.load);
      if (result.failures > 0)
        throw new Error(`${peer.name}: ${result.failures} of ${result.requests} requests failed`);
      taken.get(peer.name)?.push(result);
    }
    bench.progress(`${scenario}: turn ${turn} of ${runs}`);
  }
  return taken;
}

/** Medians; `ratioToNginx` is of medians too. */
export function resultsOf(
  scenario: string,
  started: readonly Started[],
  taken: ReadonlyMap<string, readonly RunResult[]>,
): Result[] {
  const cpuOf = (name: string) => (taken.get(name) ?? []).map((run) => run.cpuMicrosPerRequest);
  const reference = median(cpuOf('nginx'));
  return started.map(({ peer, program }): Result => {
    const of = (pick: (run: RunResult) => number) => median((taken.get(peer.name) ?? []).map(pick));
    const cpu = cpuOf(peer.name);
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
}
