/** One of the endpoints is killed at half of the load a proxy can take: what requests feel of it, with retries and without. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type LoadResult, load, median, parseWrk, runWrk } from '../measure.ts';
import { bodies, startBackend } from '../peers/backend.ts';
import type { Peer } from '../peers/peer.ts';
import { freePorts } from '../ports.ts';
import type { Program } from '../programs.ts';
import { figure, type Result, table } from '../report.ts';
import { type KilledReport, parseKilledReport, writeKilledScript } from '../resilience/killed-script.ts';
import { envoyPeer, haproxyPeer, nginxPeer } from '../resilience/others.ts';
import { EJECTION_MS, ENDPOINTS } from '../resilience/settings.ts';
import { tidegatePeer } from '../resilience/tidegate.ts';
import type { Scenario } from '../scenario.ts';
import type { Bench } from './bench.ts';
import { CONNECTIONS, loopbacks, nginxBinary, type StartBackends, type Started, startPeers } from './turns.ts';

/** Header of the responses of the endpoint that is killed. */
const MARK = 'x-marked';
/** Each connection waits so long before each request, so that their number makes the rate. */
const DELAY_MS = 4;
const KILLED_AFTER_MS = 1_000;
/** Until every proxy has it again: probes, and an ejection that may have been prolonged. */
const BACK_MS = 2 * EJECTION_MS;
const LOOK_EVERY_MS = 20;
const PAGES = 20;

interface Contender {
  readonly peer: Peer;
  readonly retry: 'on' | 'off';
  /** Of its admin pages, where the state of an endpoint can be seen. */
  readonly adminPort?: number;
  /** Part of the short form. */
  readonly quick: boolean;
}

interface Taken extends LoadResult, KilledReport {
  /** From the kill to the last answer that failed; null: none did. */
  readonly failedForMs: number | null;
  /** From the kill to when the endpoint was seen blocked; null: not seen, or nowhere to look. */
  readonly detectedMs: number | null;
}

function contenders(adminPorts: readonly number[]): Contender[] {
  const [first, second, third] = adminPorts as [number, number, number];
  const guarded = { guarded: true } as const;
  const own = (
    name: string,
    algorithm: 'roundRobin' | 'peakEwma',
    retry: 'on' | 'off',
    adminPort: number,
    quick: boolean,
  ) => ({
    peer: tidegatePeer(name, algorithm, { algorithm, ...guarded, retry, adminPort }),
    ...{ retry, adminPort, quick },
  });
  const others = (['on', 'off'] as const).flatMap((retry): Contender[] => [
    { peer: haproxyPeer(`haproxy, retries ${retry}`, 'checks, observe', { ...guarded, retry }), retry, quick: false },
    { peer: envoyPeer(`envoy, retries ${retry}`, 'health, outliers', { ...guarded, retry }), retry, quick: false },
    { peer: nginxPeer(`nginx, retries ${retry}`, 'max_fails', { ...guarded, retry }), retry, quick: false },
  ]);
  return [
    own('tidegate peakEwma, retries on', 'peakEwma', 'on', first, true),
    own('tidegate roundRobin, retries on', 'roundRobin', 'on', second, false),
    own('tidegate roundRobin, retries off', 'roundRobin', 'off', third, true),
    ...others,
  ].sort((a, b) => (a.retry === b.retry ? 0 : a.retry === 'on' ? -1 : 1));
}

export const scenario: Scenario = {
  name: 'killed-endpoint',
  about: 'one of 8 endpoints killed at half of the load',
  order: 60,
  quick: true,
  run: killedEndpoint,
};

export async function killedEndpoint(bench: Bench): Promise<Result[]> {
  const dir = join(bench.dir, 'killed-scripts');
  mkdirSync(dir, { recursive: true });
  const chosen = contenders(await freePorts(3)).filter(
    ({ peer, quick }) => (quick || !bench.quick) && peer.needs.every((need) => bench.binaries.has(need)),
  );
  const backends = new Backends();
  const peers = chosen.map(({ peer }) => peer);
  const { small } = bodies;
  const line = await startPeers(bench, peers, small, 'killed-endpoint', (...given) => backends.start(...given));
  const full = writeKilledScript(dir, 'full', MARK, 0);
  const paced = writeKilledScript(dir, 'paced', MARK, DELAY_MS);
  const seconds = bench.quick ? 2 : 4;
  const runs = bench.quick ? 1 : Math.min(bench.runs, 3);
  const taken = new Map<string, Taken[]>(peers.map(({ name }) => [name, []]));
  const rates = new Map<string, number>();
  for (const { peer, url } of line.started) {
    const options = { url: url + small.path, connections: CONNECTIONS, core: bench.loadCore, seconds: 1, script: full };
    if (!bench.quick) await load(options);
    rates.set(peer.name, (await load(options)).requestsPerSecond);
    // The page that is asked while it is measured is made by the same thread: its code is warm too.
    const { adminPort } = chosen.find((one) => one.peer === peer) ?? {};
    for (let i = 0; adminPort !== undefined && i < PAGES; i++) await isBlocked(adminPort, backends.killedName);
  }
  for (let turn = 1; turn <= runs; turn++) {
    for (const [i, started] of line.started.entries()) {
      const half = (rates.get(started.peer.name) as number) / 2;
      const connections = Math.max(1, Math.round((half * DELAY_MS) / 1000));
      const options = { url: started.url + small.path, connections, core: bench.loadCore, seconds, script: paced };
      taken.get(started.peer.name)?.push(await oneKill(bench, backends, started, chosen[i]?.adminPort, options));
      await sleep(bench.quick ? BACK_MS / 2 : BACK_MS, undefined, { signal: bench.signal });
    }
    bench.progress(`killed endpoint: turn ${turn} of ${runs}`);
  }
  await line.stop();
  return report(bench, `${runs} × ${seconds} s`, taken);
}

async function oneKill(
  bench: Bench,
  backends: Backends,
  { peer }: Started,
  adminPort: number | undefined,
  options: Parameters<typeof runWrk>[0],
): Promise<Taken> {
  const running = runWrk(options);
  running.catch(() => {}); // seen below
  await sleep(KILLED_AFTER_MS, undefined, { signal: bench.signal });
  const killedAtMs = Date.now();
  await backends.kill();
  const detectedMs = adminPort === undefined ? null : await detection(adminPort, backends.killedName, killedAtMs);
  const text = await running;
  await backends.restart(bench);
  const seen = parseKilledReport(text);
  const figures = parseWrk(text);
  if (seen.marked < (figures.requests / ENDPOINTS) * 0.05) {
    throw new Error(
      `${peer.name}: ${seen.marked} of ${figures.requests} requests went to the endpoint before it was killed`,
    );
  }
  const failedForMs = seen.lastFailureMs === 0 ? null : seen.lastFailureMs - killedAtMs;
  return { ...figures, ...seen, failedForMs, detectedMs };
}

interface ConfigPage {
  readonly worker: {
    readonly backends: readonly { states: readonly { name: string; blocked: readonly string[] }[] }[];
  };
}

async function isBlocked(adminPort: number, name: string): Promise<boolean> {
  const answer = await fetch(`http://127.0.0.1:${adminPort}/debug/config`);
  const page = (await answer.json()) as ConfigPage;
  const found = page.worker.backends.flatMap(({ states }) => states).find((state) => state.name === name);
  return found !== undefined && found.blocked.length > 0;
}

/** Bounded by the second after which it has failed anyway. */
async function detection(adminPort: number, name: string, sinceMs: number): Promise<number | null> {
  while (Date.now() - sinceMs < KILLED_AFTER_MS) {
    if (await isBlocked(adminPort, name)) return Date.now() - sinceMs;
    await sleep(LOOK_EVERY_MS);
  }
  return null;
}

/** One nginx on all addresses but one, and one that is killed on that. */
class Backends {
  #port = 0;
  #dir = '';
  #killed: Program | null = null;
  #others: Program | null = null;
  #starts = 0;

  get killedName(): string {
    return `${loopbacks(1)[0]}:${this.#port}`;
  }

  start: StartBackends = async (bench, dir) => {
    const [port = 0] = await freePorts(1);
    this.#port = port;
    this.#dir = dir;
    const addresses = loopbacks(ENDPOINTS);
    await this.restart(bench);
    this.#others = await this.#nginx(bench, { name: 'others', addresses: addresses.slice(1) });
    return {
      endpoints: addresses.map((address) => ({ address, port })),
      stop: async () => {
        await Promise.all([this.#killed?.stop(), this.#others?.stop()]);
      },
    };
  };

  async kill(): Promise<void> {
    const { pid = 0 } = this.#killed ?? {};
    if (pid > 0) process.kill(pid, 'SIGKILL');
  }

  async restart(bench: Bench): Promise<void> {
    await this.#killed?.stop();
    const name = `killed-${this.#starts++}`;
    this.#killed = await this.#nginx(bench, { name, addresses: loopbacks(1), mark: MARK });
  }

  #nginx(bench: Bench, { name, ...more }: { name: string; addresses: readonly string[]; mark?: string }) {
    const dir = join(this.#dir, name);
    mkdirSync(dir, { recursive: true });
    const common = { programs: bench.programs, dir, port: this.#port, core: bench.loadCore, single: true } as const;
    return startBackend({ ...common, ...more, nginx: nginxBinary(bench) });
  }
}

function report(bench: Bench, turns: string, taken: ReadonlyMap<string, readonly Taken[]>): Result[] {
  const scenario = 'killed endpoint';
  const results = [...taken].map(([proxy, runs]) => {
    const of = (pick: (run: Taken) => number | null) => {
      const values = runs.flatMap((run) => pick(run) ?? []);
      return values.length === 0 ? null : median(values);
    };
    const result: Result = {
      ...{ scenario, proxy, cpuMicrosPerRequest: null, peakRssMiB: null, ratioToNginx: null },
      requestsPerSecond: of((run) => run.requestsPerSecond),
      p50Ms: of((run) => run.p50Ms),
      p99Ms: of((run) => run.p99Ms),
      extra: {
        failures: of((run) => run.failures) ?? 0,
        mostFailures: Math.max(...runs.map((run) => run.failures)),
        failedForMs: of((run) => run.failedForMs) ?? 0,
        detectedMs: of((run) => run.detectedMs) ?? Number.NaN,
      },
    };
    return { result, saw: seen(runs) };
  });
  const extra = (name: string) => (row: (typeof results)[number]) => {
    const value = row.result.extra?.[name];
    return value === undefined || Number.isNaN(value) ? '-' : Math.round(value).toLocaleString('en');
  };
  bench.print(
    `\n${scenario}: one of ${ENDPOINTS} gets SIGKILL at half of the load; median of ${turns}\n${table(results, [
      { title: 'proxy', cell: (row) => row.result.proxy },
      { title: 'requests/s', cell: (row) => figure(row.result.requestsPerSecond) },
      { title: 'failed', cell: extra('failures') },
      { title: 'at most', cell: extra('mostFailures') },
      { title: 'for ms', cell: extra('failedForMs') },
      { title: 'detected ms', cell: extra('detectedMs') },
      { title: 'p99 ms', cell: (row) => figure(row.result.p99Ms) },
      { title: 'clients saw', cell: (row) => row.saw },
    ])}`,
  );
  return results.map(({ result }) => result);
}

/** All turns together. */
function seen(runs: readonly Taken[]): string {
  const counts = new Map<string, number>();
  const count = (what: string, times: number) => times > 0 && counts.set(what, (counts.get(what) ?? 0) + times);
  for (const { statuses, failures } of runs) {
    const answered = Object.entries(statuses);
    for (const [status, times] of answered) count(status, times);
    count('broken connections', failures - answered.reduce((sum, [, times]) => sum + times, 0));
  }
  return counts.size === 0 ? 'nothing' : [...counts].map(([what, times]) => `${what} × ${times}`).join(', ');
}
