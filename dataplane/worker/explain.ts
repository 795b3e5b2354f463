/** A request as `tidegate explain` describes it → an exchange, read by the listener's own parser, that nobody waits for. */
import { refusalOf } from '../codec/refusals.ts';
import { parseRequestHead, RequestHead } from '../codec/request-head.ts';
import { DataplaneError } from '../errors.ts';
import { originOf } from '../listener/client-address.ts';
import { DEFAULT_LISTENER_LIMITS } from '../listener/options.ts';
import { type BodySink, type Downstream, Exchange, NO_BODY, type Release } from '../pipeline/exchange.ts';
import { Headers } from '../pipeline/headers.ts';
import type { Runtime } from '../runtime/runtime.ts';
import { type ExplainRequest, type Explanation, explainRequest } from '../snapshot/explain.ts';

/** Rejects with DataplaneError DP_EXPLAIN where `asked` is no ExplainRequest, naming the field. */
export async function explainOn(
  runtime: Runtime,
  asked: unknown,
  trustedHops: number,
  forwarded: boolean,
): Promise<Explanation> {
  const parsed = explainRequest.safeParse(asked);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const field = issue?.path.join('.') ?? '';
    throw wrong(`${field === '' ? 'the request' : field}: ${issue?.message ?? 'invalid'}`);
  }
  const request = parsed.data;
  const { backend } = request;
  const exchange = exchangeOf(request, trustedHops, forwarded);
  if (exchange instanceof Exchange) {
    const explanation = await runtime.explain(exchange, backend);
    if (backend === undefined || explanation.backends.some(({ chosen }) => chosen)) return explanation;
    const there = explanation.backends.map((one) => one.backend).join(', ');
    throw wrong(`backend: the rule has no ${backend}${there === '' ? '' : `; it has ${there}`}`);
  }
  const { status, code, detail } = exchange;
  const answer = { status, code, detail, by: 'listener' };
  const nothing = { rule: null, sections: [], backends: [], notTaken: [], notTakenMore: 0 };
  return { revision: runtime.revision, request: null, answer, ...nothing };
}

function exchangeOf({ method, url, headers, address }: ExplainRequest, trustedHops: number, forwarded: boolean) {
  const [, scheme = 'http', authority = '', rest = ''] = /^(https?):\/\/([^/?#]*)([^#]*)/.exec(url) ?? [];
  const fields = headers.some(([name]) => name.toLowerCase() === 'host') ? headers : [['host', authority], ...headers];
  const target = rest.startsWith('/') ? rest : `/${rest}`;
  const lines = [`${method} ${target} HTTP/1.1`, ...fields.map(([name, value]) => `${name}: ${value}`), '', ''];
  const bytes = Buffer.from(lines.join('\r\n'), 'latin1');
  const head = new RequestHead();
  const end = parseRequestHead(bytes, 0, bytes.byteLength, DEFAULT_LISTENER_LIMITS.head, head);
  if (end <= 0) return refusalOf(end);
  const known = new Headers(head.fields);
  const own = { address, scheme: scheme === 'https' ? 'https' : 'http' } as const;
  const origin = trustedHops === 0 ? own : originOf(known, address, own.scheme, trustedHops, forwarded);
  const exchange = new Exchange(
    head.method,
    head.path,
    head.query,
    head.host,
    head.authority,
    origin.scheme,
    'HTTP/1.1',
    known,
    origin.address,
    new Nobody(address),
    performance.now(),
  );
  exchange.requestId = 'explained';
  return exchange;
}

function wrong(message: string): DataplaneError {
  return new DataplaneError('DP_EXPLAIN', message, { retryable: false });
}

/** A client that is not there: sends no body, and takes whatever it is told. */
class Nobody implements Downstream {
  readonly requestLength = NO_BODY;
  readonly tunnel = null;
  readonly peerAddress: string;
  readonly tls = null;
  onDrain: (() => void) | null = null;
  onClose: (() => void) | null = null;

  constructor(peerAddress: string) {
    this.peerAddress = peerAddress;
  }

  readBody(sink: BodySink): void {
    sink.onEnd(null);
  }
  write(_chunk: Uint8Array, release: Release): boolean {
    release?.();
    return true;
  }
  pauseBody(): void {}
  resumeBody(): void {}
  writeInformational(): void {}
  writeHead(): void {}
  end(): void {}
  abort(): void {}
}
