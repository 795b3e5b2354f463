/**
 * A request by HTTP/1.1, each on a connection of its own: a server that accepts no more is seen, and none that it has closed is used.
 * Redirects are answers like others.
 */
import { Client, type Dispatcher, errors } from 'undici';
import type { ActiveHealth } from '../../snapshot/backend/health.ts';
import { endpointName } from '../../snapshot/backend/view.ts';
import { VERSION } from '../../version.ts';
import { codeOf, type Probe, type ProbeOutcome, type ProbeTarget, SUCCESS } from './probe.ts';

type HttpProbe = Extract<ActiveHealth['probe'], { kind: 'http' }>;

/** Of a body so much is read; what follows says nothing any more. */
const MAX_BODY_BYTES = 64 * 1024;
const MAX_HEAD_BYTES = 16 * 1024;

export function openHttpProbe(settings: HttpProbe, target: ProbeTarget): Probe {
  const name = endpointName(target);
  const request: Dispatcher.RequestOptions = {
    method: settings.method,
    path: settings.path,
    headers: {
      host: settings.host ?? name,
      'user-agent': `Tidegate-Health/${VERSION}`,
      ...Object.fromEntries(settings.headers.map((header) => [header.name, header.value])),
    },
    headersTimeout: 0,
    bodyTimeout: 0,
  };
  return { run: (signal) => ask(`http://${name}`, request, settings.statuses, signal), close: () => {} };
}

async function ask(
  origin: string,
  request: Dispatcher.RequestOptions,
  statuses: HttpProbe['statuses'],
  signal: AbortSignal,
): Promise<ProbeOutcome> {
  const client = new Client(origin, { pipelining: 0, maxHeaderSize: MAX_HEAD_BYTES, connect: { timeout: 0 } });
  // undici heeds a signal only once the request has its connection.
  const abort = (): void => void client.destroy().catch(() => {});
  signal.addEventListener('abort', abort, { once: true });
  let connected = false;
  client.on('connect', () => {
    connected = true;
  });
  try {
    if (signal.aborted) return { result: 'timeout', detail: 'aborted' };
    const { statusCode, body } = await client.request(request);
    if (!statuses.some(({ from, to }) => statusCode >= from && statusCode <= to)) {
      body.on('error', () => {});
      return { result: 'status', detail: String(statusCode) };
    }
    let length = 0;
    for await (const chunk of body as AsyncIterable<Buffer>) {
      length += chunk.length;
      if (length > MAX_BODY_BYTES) break;
    }
    return SUCCESS;
  } catch (error) {
    if (signal.aborted) return { result: 'timeout', detail: 'aborted' };
    const result = connected || error instanceof errors.HTTPParserError ? 'protocol' : 'connect';
    return { result, detail: codeOf(error) };
  } finally {
    signal.removeEventListener('abort', abort);
    abort();
  }
}
