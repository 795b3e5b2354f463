/** Fault injection: holds a share of the requests back, answers a share with an error, both after everything that could refuse them. */
import type { Stage } from '../pipeline/chain.ts';
import type { Answer, Exchange } from '../pipeline/exchange.ts';
import { problem } from '../pipeline/respond.ts';
import type { PolicySection } from '../snapshot/resources.ts';
import type { StageContext } from './context.ts';

type FaultConfig = Extract<PolicySection, { section: 'fault' }>;

/** Requests that one policy holds back at once in one worker; beyond it they go on undelayed, and are counted. */
export const MAX_DELAYED = 1024;
const CODE = 'fault-injected';
const MILLION = 1_000_000;

/** Random draws are made anew for each request, for the delay and the abort apart. */
export function createFault(config: FaultConfig, context: StageContext): Stage {
  const { delay, abort, header } = config;
  const counter = (fault: string) => context.counter('faults', { fault });
  const [delayed, aborted, skipped] = [counter('delay'), counter('abort'), counter('delay-skipped')];
  let held = 0;

  const meant = ({ headers }: Exchange): boolean => header === undefined || headers.has(header);
  const drawn = (share: number): boolean => share > 0 && (share >= MILLION || context.random() * MILLION < share);

  function fail(exchange: Exchange): Answer | undefined {
    if (abort === undefined || !drawn(abort.perMillion)) return undefined;
    aborted.value++;
    return problem(abort.status, CODE, abort.message ?? 'This failure was asked for by a policy.', exchange.requestId);
  }

  function wait(ms: number): Promise<void> {
    held++;
    return new Promise((resolve) => {
      context.setTimer(() => {
        held--;
        resolve();
      }, ms);
    });
  }

  return {
    name: 'fault',
    onRequest: (exchange) => {
      if (!meant(exchange)) return undefined;
      if (delay === undefined || delay.durationMs === 0 || !drawn(delay.perMillion)) return fail(exchange);
      if (held >= MAX_DELAYED) {
        skipped.value++;
        return fail(exchange);
      }
      delayed.value++;
      return wait(delay.durationMs).then(() => fail(exchange));
    },
    explain: (exchange) => {
      if (!meant(exchange)) return { text: `nothing: the request has no ${header}`, answer: null };
      const parts = [
        ...(delay === undefined ? [] : [`delays ${percent(delay.perMillion)} by ${delay.durationMs} ms`]),
        ...(abort === undefined ? [] : [`answers ${percent(abort.perMillion)} with ${abort.status} ${CODE}`]),
      ];
      const always = abort !== undefined && abort.perMillion >= MILLION;
      return { text: parts.join(', '), answer: always ? { status: abort.status, code: CODE } : null };
    },
  };
}

function percent(perMillion: number): string {
  return `${perMillion / 10_000} %`;
}
