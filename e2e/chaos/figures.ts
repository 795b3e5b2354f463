/** What the samples of one fault come to. Pure. */
import { percentile } from '../bench/measure.ts';
import type { Sample } from './open-loop.ts';

/** A request that reached a backend: its first try, or a repeat. */
export interface Attempt {
  /** ms since the epoch. */
  readonly atMs: number;
  /** When its request was due. */
  readonly dueMs: number;
}

/** How the endpoint looked to the gateway at one moment. */
export interface Look {
  /** ms since the epoch. */
  readonly atMs: number;
  /** Why it gets no requests; empty: it gets some. */
  readonly blocked: readonly string[];
}

/** All in ms since the epoch. */
export interface Times {
  readonly injectedMs: number;
  readonly healedMs: number;
  /** Overcome, or given up: what is sent later is not looked at. */
  readonly overMs: number;
}

export interface Side {
  /** From the fault until it was over. */
  readonly sent: number;
  readonly failed: number;
  /** Of the requests due while the fault lasted. */
  readonly failedShare: number;
  /** Of those due between its end and when it was over. */
  readonly failedShareAfterwards: number;
  /** By what they saw: `reset`, `timeout`, `503`, … */
  readonly failures: Readonly<Record<string, number>>;
  /** How many of those due shortly before it was over. */
  readonly failedAtEnd: number;
  /** Of the requests due while the fault lasted, failed ones included. */
  readonly p99Ms: number;
  /** Requests that reached backends by requests sent. */
  readonly amplification: number;
  /** Of the requests that reached backends while the fault lasted: those at the faulty one. */
  readonly faultyShare: number;
  /** From the start of the fault until the endpoint was first blocked; null: never while the fault lasted. */
  readonly ejectedAfterMs: number | null;
  readonly ejectedBy: string;
  /** From the end of the fault until a request reached the endpoint; null: none did. */
  readonly readmittedAfterMs: number | null;
}

export interface SideInput {
  readonly samples: readonly Sample[];
  /** At all backends. */
  readonly attempts: readonly Attempt[];
  /** At those with the fault. */
  readonly faulty: readonly Attempt[];
  readonly looks: readonly Look[];
  readonly times: Times;
}

/** What is sent at the end has to succeed. */
const END_MS = 400;

/** Requests belong to a time by when they were due, whenever they or their repeats arrive. */
export function sideOf({ samples, attempts, faulty, looks, times }: SideInput): Side {
  const { injectedMs, healedMs, overMs } = times;
  const sent = samples.filter(({ atMs }) => atMs >= injectedMs && atMs < overMs);
  const during = ({ atMs }: Sample) => atMs < healedMs;
  const afterwards = ({ atMs }: Sample) => atMs >= healedMs;
  const failed = sent.filter(({ outcome }) => outcome !== 200);
  const failures: Record<string, number> = {};
  for (const { outcome } of failed) failures[outcome] = (failures[outcome] ?? 0) + 1;
  const whileFaulty = ({ dueMs }: Attempt) => dueMs >= injectedMs && dueMs < healedMs;
  const blocked = looks.find(({ atMs, blocked }) => atMs >= injectedMs && atMs < healedMs && blocked.length > 0);
  const back = Math.min(...faulty.filter(({ dueMs }) => dueMs >= healedMs).map(({ atMs }) => atMs));
  return {
    sent: sent.length,
    failed: failed.length,
    failedShare: share(failed.filter(during).length, sent.filter(during).length),
    failedShareAfterwards: share(failed.filter(afterwards).length, sent.filter(afterwards).length),
    failures,
    failedAtEnd: failed.filter(({ atMs }) => atMs >= overMs - END_MS).length,
    p99Ms: percentile(
      sent.filter(during).map(({ ms }) => ms),
      0.99,
    ),
    amplification: share(attempts.filter(({ dueMs }) => dueMs >= injectedMs && dueMs < overMs).length, sent.length),
    faultyShare: share(faulty.filter(whileFaulty).length, attempts.filter(whileFaulty).length),
    ejectedAfterMs: blocked === undefined ? null : blocked.atMs - injectedMs,
    ejectedBy: blocked === undefined ? '' : blocked.blocked.join('+'),
    readmittedAfterMs: Number.isFinite(back) ? back - healedMs : null,
  };
}

function share(part: number, whole: number): number {
  return whole === 0 ? 0 : part / whole;
}

/** Requests sent upstream by requests received, at most. */
export const MAX_AMPLIFICATION = 1.2;
/** One that is avoided gets at most this part of what it gets without the policy. */
export const MAX_RELATIVE_SHARE = 0.5;

export interface Judged {
  readonly name: string;
  readonly failsAtMost: number;
  /**
   * `ejection`: it is blocked while the fault lasts, or avoided. `share`: it is avoided. `failures`: neither, requests just must not fail.
   * `ejection` when absent.
   */
  readonly judgedBy?: 'ejection' | 'share' | 'failures' | undefined;
}

/** What is broken of what has to hold, in words; empty: nothing. */
export function broken(fault: Judged, plain: Side, guarded: Side): string[] {
  const percent = (part: number) => `${(part * 100).toFixed(2)} %`;
  const found: string[] = [];
  const worst = Math.max(guarded.failedShare, guarded.failedShareAfterwards);
  if (worst > fault.failsAtMost) {
    const failures = Object.entries(guarded.failures).map(([outcome, count]) => `${outcome} × ${count}`);
    found.push(`${percent(worst)} failed (${failures.join(', ')}), at most ${percent(fault.failsAtMost)} may`);
  }
  if (guarded.failedAtEnd > 0) found.push(`${guarded.failedAtEnd} still failed when it was over`);
  if (guarded.amplification > MAX_AMPLIFICATION) {
    found.push(
      `${guarded.amplification.toFixed(2)} requests sent upstream for each received, at most ${MAX_AMPLIFICATION} may be`,
    );
  }
  if (guarded.readmittedAfterMs === null) found.push('not readmitted');
  // Balancing may avoid it so well that nothing is left to eject it for.
  const avoided = guarded.faultyShare <= plain.faultyShare * MAX_RELATIVE_SHARE && plain.faultyShare > 0;
  if (fault.judgedBy === 'share' && !avoided) {
    found.push(
      `it got ${percent(guarded.faultyShare)} of the requests, without the policy ${percent(plain.faultyShare)}`,
    );
  }
  if ((fault.judgedBy ?? 'ejection') === 'ejection' && !avoided && guarded.ejectedAfterMs === null)
    found.push('neither ejected nor avoided');
  return found.map((what) => `${fault.name}: ${what}`);
}
