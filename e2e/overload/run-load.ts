/** Runs a load in a process of its own, so that it takes no time of the test's. */
import { fork } from 'node:child_process';
import { join } from 'node:path';
import type { Figures, Load, Measured } from './generator.ts';

/** Rejects when the generator ends without figures; it is ended when it takes much longer than its load. */
export function runLoad(load: Load): Promise<Measured> {
  const child = fork(join(import.meta.dirname, 'generator.ts'), [JSON.stringify(load)], { execArgv: [] });
  const giveUp = setTimeout(() => child.kill('SIGKILL'), load.durationMs + load.timeoutMs + 30_000);
  return new Promise((resolve, reject) => {
    let measured: Measured | null = null;
    child.once('message', (message) => {
      measured = message as Measured;
    });
    child.once('error', reject);
    child.once('close', (code, signal) => {
      clearTimeout(giveUp);
      if (measured !== null) resolve(measured);
      else reject(new Error(`the generator ended (${signal ?? code}) without figures`));
    });
  });
}

/** All kinds together. */
export function together({ kinds }: Measured): Figures {
  const sum: Figures = { sent: 0, statuses: {}, timeouts: 0, resets: 0, noRetryAfter: 0, servedMs: [], shedMs: [] };
  for (const one of Object.values(kinds)) {
    sum.sent += one.sent;
    sum.timeouts += one.timeouts;
    sum.resets += one.resets;
    sum.noRetryAfter += one.noRetryAfter;
    sum.servedMs.push(...one.servedMs);
    sum.shedMs.push(...one.shedMs);
    for (const [status, count] of Object.entries(one.statuses))
      sum.statuses[status] = (sum.statuses[status] ?? 0) + count;
  }
  sum.servedMs.sort((a, b) => a - b);
  sum.shedMs.sort((a, b) => a - b);
  return sum;
}

/** Of sorted values; 0 where there are none. */
export function quantile(sorted: readonly number[], q: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? 0;
}
