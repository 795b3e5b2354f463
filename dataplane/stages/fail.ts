/** A section that must hold but could not be built: every request is answered with its reason, none goes on. */
import type { Stage } from '../pipeline/chain.ts';
import { problem } from '../pipeline/respond.ts';
import type { PolicySection } from '../snapshot/resources.ts';

type FailConfig = Pick<Extract<PolicySection, { section: 'fail' }>, 'status' | 'code' | 'message'>;

export function createFail(config: FailConfig): Stage {
  const { status, code, message } = config;
  return {
    name: 'fail',
    onRequest: (exchange) => problem(status, code, message, exchange.requestId),
    explain: () => ({
      text: "could not be built: the policy's status says why (kubectl describe policy)",
      answer: { status, code },
    }),
  };
}
