/** Terminal: a redirect, as Gateway API HTTPRequestRedirectFilter has it. The query is kept. */
import type { Terminal } from '../pipeline/chain.ts';
import type { Exchange } from '../pipeline/exchange.ts';
import { problem, redirect } from '../pipeline/respond.ts';
import { rewritePath } from '../pipeline/rewrite.ts';
import type { Action } from '../snapshot/resources.ts';
import type { Reply } from './terminal.ts';

type RedirectAction = Extract<Action, { kind: 'redirect' }>;

const WELL_KNOWN = { http: '80', https: '443' };

export function createRedirect(action: RedirectAction, reply: Reply): Terminal {
  return (exchange) => {
    const location = locationOf(action, exchange);
    if (location === null) {
      const detail = 'This route redirects to the host of the request, and the request names none.';
      reply(exchange, problem(400, 'bad-request', detail, exchange.requestId));
    } else {
      reply(exchange, redirect(action.status, location));
    }
  };
}

/** Always absolute: a relative one could be made to start with `//` and lead elsewhere. Null where there is no host to name. */
function locationOf(action: RedirectAction, exchange: Exchange): string | null {
  const host = action.host ?? exchange.host;
  if (host === '') return null;
  const scheme = action.scheme ?? exchange.scheme;
  // A new scheme brings its own port. Else the port stays: the one the client used, not the listener's, which a Service may have mapped.
  const port =
    action.port !== undefined ? String(action.port) : action.scheme !== undefined ? '' : portOf(exchange.authority);
  const shown = port === '' || port === WELL_KNOWN[scheme] ? '' : `:${port}`;
  const path =
    action.path === undefined ? exchange.path : rewritePath(action.path, exchange.path, exchange.matchedPrefix);
  const query = exchange.query === undefined ? '' : `?${exchange.query}`;
  return `${scheme}://${host}${shown}${path}${query}`;
}

function portOf(authority: string): string {
  return /:(\d+)$/.exec(authority)?.[1] ?? '';
}
