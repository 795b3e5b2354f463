/** Terminal: a direct answer. */
import type { Terminal } from '../pipeline/chain.ts';
import { direct } from '../pipeline/respond.ts';
import type { Action } from '../snapshot/resources.ts';
import type { Reply } from './terminal.ts';

export function createRespond(action: Extract<Action, { kind: 'respond' }>, reply: Reply): Terminal {
  const body = Buffer.from(action.body);
  const contentType = action.contentType ?? 'text/plain; charset=utf-8';
  return (exchange) => reply(exchange, direct(action.status, contentType, body));
}
