/** What one run of load cost a proxy: the load generator's view and the kernel's own accounting. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { processTree } from './programs.ts';

const execute = promisify(execFile);

/** USER_HZ: fixed at 100 for every architecture Linux runs Node on (proc(5)). */
const TICKS_PER_SECOND = 100;

export interface LoadResult {
  readonly requests: number;
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Answers outside 2xx and 3xx, and socket errors. Any makes the run worthless. */
  readonly failures: number;
}

export interface RunResult extends LoadResult {
  readonly cpuMicrosPerRequest: number;
  /** Share of its one core the proxy used, 0 to 1. Near 1: it was the bottleneck; well below: the load side was. */
  readonly coreShare: number;
}

export interface LoadOptions {
  readonly url: string;
  readonly connections: number;
  readonly seconds: number;
  readonly core: number;
  /** Lua file, for requests that differ. */
  readonly script?: string;
}

/** One `wrk` run, one thread, keep-alive. */
export async function load(options: LoadOptions): Promise<LoadResult> {
  return parseWrk(await runWrk(options));
}

/** The same; what wrk and the script print. */
export async function runWrk(options: LoadOptions): Promise<string> {
  const { stdout } = await execute(
    'taskset',
    [
      ...['-c', String(options.core), 'wrk', '--latency', '-t1', `-c${options.connections}`, `-d${options.seconds}s`],
      ...(options.script === undefined ? [] : ['-s', options.script]),
      ...['--timeout', '5s', options.url],
    ],
    { timeout: options.seconds * 1000 + 20_000 },
  );
  return stdout;
}

/** Reads wrk 4's report. Throws when a figure is missing, so that a changed format is not taken for zero. */
export function parseWrk(text: string): LoadResult {
  const figure = (pattern: RegExp): string => {
    const found = pattern.exec(text)?.[1];
    if (found === undefined) throw new Error(`wrk's report lacks ${pattern}:\n${text}`);
    return found;
  };
  const errors = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(text)?.slice(1) ?? [];
  const refused = /Non-2xx or 3xx responses: (\d+)/.exec(text)?.[1] ?? '0';
  return {
    requests: Number(figure(/(\d+) requests in/)),
    requestsPerSecond: Number(figure(/Requests\/sec:\s+([\d.]+)/)),
    p50Ms: durationMs(figure(/\s50%\s+(\S+)/)),
    p99Ms: durationMs(figure(/\s99%\s+(\S+)/)),
    failures: [...errors, refused].reduce((sum, count) => sum + Number(count), 0),
  };
}

function durationMs(text: string): number {
  const [, amount, unit] = /^([\d.]+)(us|ms|s|m)$/.exec(text) ?? [];
  const factor = { us: 0.001, ms: 1, s: 1000, m: 60_000 }[unit ?? ''];
  if (amount === undefined || factor === undefined) throw new Error(`wrk: not a duration: ${text}`);
  return Number(amount) * factor;
}

/** Load on a proxy, with the CPU time its processes (and all their threads) took meanwhile. */
export async function measure(
  pid: number,
  options: LoadOptions,
  run: (options: LoadOptions) => Promise<LoadResult> = load,
): Promise<RunResult> {
  const before = cpuSeconds(pid);
  const startedAt = performance.now();
  const result = await run(options);
  const elapsedSeconds = (performance.now() - startedAt) / 1000;
  const used = cpuSeconds(pid) - before;
  return { ...result, cpuMicrosPerRequest: (used * 1e6) / result.requests, coreShare: used / elapsedSeconds };
}

/** utime + stime of a process tree, in seconds, to 10 ms. Threads that ended are included. */
export function cpuSeconds(pid: number): number {
  let ticks = 0;
  for (const id of processTree(pid)) {
    const stat = readFileSync(`/proc/${id}/stat`, 'latin1');
    // the name in parentheses may hold spaces; utime and stime are fields 14 and 15 (proc(5))
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    ticks += Number(fields[11]) + Number(fields[12]);
  }
  return ticks / TICKS_PER_SECOND;
}

/** Resident memory of a process tree in MiB: `VmHWM` is the peak, `VmRSS` now. Pages shared between processes count in each. */
export function residentMiB(pid: number, field: 'VmHWM' | 'VmRSS'): number {
  let kib = 0;
  for (const id of processTree(pid)) {
    const status = readFileSync(`/proc/${id}/status`, 'latin1');
    kib += Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0);
  }
  return kib / 1024;
}

/** The middle value; the mean of the two middle ones of an even count. */
export function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}

export interface PairedRatio {
  /** The median of the turns. */
  readonly ratio: number;
  readonly least: number;
  readonly most: number;
}

/** `a` by `b`, turn by turn: two runs beside each other have most of the machine's mood in common. */
export function paired(a: readonly number[], b: readonly number[]): PairedRatio {
  if (a.length !== b.length) throw new Error(`${a.length} turns beside ${b.length}`);
  const ratios = a.map((value, i) => value / (b[i] as number));
  return { ratio: median(ratios), least: Math.min(...ratios), most: Math.max(...ratios) };
}

/** Linear interpolation between closest ranks (Hyndman and Fan, type 7). `share` is 0 to 1; NaN of nothing. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const rank = (sorted.length - 1) * share;
  const low = sorted[Math.floor(rank)];
  const high = sorted[Math.ceil(rank)];
  if (low === undefined || high === undefined) return Number.NaN;
  return low + (high - low) * (rank - Math.floor(rank));
}
