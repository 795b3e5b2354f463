/** What is retried, in a line. */
import type { RetrySettings } from '../../snapshot/retry.ts';

export function retryText({ attempts, on, statuses, methods, budget, perTryTimeoutMs, hedge }: RetrySettings): string {
  const reasons = on.map((reason) => (reason === 'status' ? `status ${statuses.join('|')}` : reason));
  const parts = [
    attempts === 0 ? 'no retries' : `up to ${attempts} on ${reasons.join(', ')}`,
    ...(attempts === 0 ? [] : [`of ${methods.join(' ')}`]),
    ...(perTryTimeoutMs === undefined ? [] : [`${perTryTimeoutMs} ms a try`]),
    ...(hedge === undefined ? [] : [`hedged after ${hedge.afterMs} ms`]),
    ...(attempts === 0 && hedge === undefined ? [] : [`budget ${budget.percent} % or ${budget.minPerSecond}/s`]),
  ];
  return parts.join('; ');
}
