/** What a terminal ends an exchange with when it answers by itself: `Pipeline.reply`. */
import type { Terminal } from '../pipeline/chain.ts';
import type { Answer, Exchange } from '../pipeline/exchange.ts';
import { problem } from '../pipeline/respond.ts';

export type Reply = (exchange: Exchange, answer: Answer) => void;

/** Terminal: the same problem for every request, with the reason the compiler (or the build) gave. */
export function createProblem(status: number, code: string, detail: string, reply: Reply): Terminal {
  return (exchange) => reply(exchange, problem(status, code, detail, exchange.requestId));
}
