/** What holds of a request before anything else is asked of it: it came over HTTPS, and its body is not too large. */
import type { Explained, Stage } from '../pipeline/chain.ts';
import { type Answer, type Exchange, LENGTH_UNKNOWN } from '../pipeline/exchange.ts';
import { LimitedBody, TOO_LARGE } from '../pipeline/limited-body.ts';
import { problem, redirect } from '../pipeline/respond.ts';
import type { SecuritySection } from '../snapshot/sections/security.ts';

const HSTS = 'strict-transport-security';
const HTTPS_PORT = 443;

export function createSecurity(config: SecuritySection): Stage {
  const { requireHttps, maxBodyBytes } = config;
  const hsts = hstsOf(config);

  function onRequest(exchange: Exchange): Answer | undefined {
    if (requireHttps !== undefined && exchange.scheme === 'http') return toHttps(exchange, requireHttps);
    if (maxBodyBytes === undefined) return undefined;
    const { requestLength } = exchange.downstream;
    if (requestLength > maxBodyBytes) {
      const detail = `The body of this request is larger than the ${maxBodyBytes} bytes this route takes.`;
      return problem(413, TOO_LARGE, detail, exchange.requestId);
    }
    if (requestLength === LENGTH_UNKNOWN) exchange.downstream = new LimitedBody(exchange.downstream, maxBodyBytes);
    return undefined;
  }

  function explain(exchange: Exchange): Explained {
    const answer = onRequest(exchange);
    if (answer === undefined)
      return { text: `passes${hsts === null ? '' : `; responses over https get ${HSTS}`}`, answer: null };
    const { status, code } = answer;
    const text = code === TOO_LARGE ? `the body is larger than ${maxBodyBytes} bytes` : 'came over http: sent to https';
    return { text, answer: { status, code } };
  }

  return {
    name: 'security',
    onRequest,
    explain,
    ...(hsts !== null && {
      onResponse: ({ scheme, responseHeaders }: Exchange) => {
        // Over http it must not be sent, and would be ignored (RFC 6797 sections 7.2 and 8.1).
        if (scheme === 'https') responseHeaders?.set(HSTS, hsts);
        else responseHeaders?.remove(HSTS);
      },
    }),
  };
}

/** Absolute, with path and query as matching sees them; the host stays the client's. */
function toHttps(exchange: Exchange, { status, port }: NonNullable<SecuritySection['requireHttps']>): Answer {
  const { host, path, query, requestId } = exchange;
  // HTTP/1.0 without Host: there is nowhere to send it.
  if (host === '') return problem(400, 'https-required', 'This route is served over HTTPS only.', requestId);
  const shown = port === HTTPS_PORT ? '' : `:${port}`;
  const answer = redirect(status, `https://${host}${shown}${path}${query === undefined ? '' : `?${query}`}`);
  answer.code = 'https-required';
  return answer;
}

function hstsOf({ hsts }: SecuritySection): string | null {
  if (hsts === undefined) return null;
  const { maxAgeSeconds, includeSubDomains, preload } = hsts;
  return `max-age=${maxAgeSeconds}${includeSubDomains ? '; includeSubDomains' : ''}${preload ? '; preload' : ''}`;
}
