/**
 * A request by HTTP/1.1, each on a connection of its own: a server that accepts no more is seen, and none that it has closed is used.
 * Redirects are answers like others. By node:http, which the admin pages have loaded anyway: undici takes half as much CPU time
 * again for it, and 12 MB.
 */
import { lookup } from 'node:dns';
import { type IncomingMessage, type RequestOptions, request as send } from 'node:http';
import type { Socket } from 'node:net';
import type { ActiveHealth } from '../../snapshot/backend/health.ts';
import { endpointName } from '../../snapshot/backend/view.ts';
import type { Dialer } from '../../upstream/dial/dialer.ts';
import { VERSION } from '../../version.ts';
import { codeOf, type Probe, type ProbeOutcome, type ProbeTarget, SUCCESS } from './probe.ts';

type HttpProbe = Extract<ActiveHealth['probe'], { kind: 'http' }>;

/** Of a body so much is read; what follows says nothing any more. */
const MAX_BODY_BYTES = 64 * 1024;
const MAX_HEAD_BYTES = 16 * 1024;

export function openHttpProbe(
  { method, path, host, headers, statuses }: HttpProbe,
  target: ProbeTarget,
  dialer: Dialer | null,
): Probe {
  const options: RequestOptions = {
    host: target.address,
    port: target.port,
    method,
    path,
    headers: {
      host: host ?? endpointName(target),
      'user-agent': `Tidegate-Health/${VERSION}`,
      ...Object.fromEntries(headers.map(({ name, value }) => [name, value])),
    },
    agent: false,
    maxHeaderSize: MAX_HEAD_BYTES,
  };
  const dialed = { ...target, hostName: target.hostName ?? '', lookup, session: null };
  const open = dialer === null ? null : (ready: () => void) => dialer.dial(dialed, { ready }).socket;
  return { run: (signal) => ask(options, statuses, open, signal), close: () => {} };
}

/** `open`: in place of a plain connection; it calls back when the connection is there. */
function ask(
  options: RequestOptions,
  statuses: HttpProbe['statuses'],
  open: ((ready: () => void) => Socket) | null,
  signal: AbortSignal,
): Promise<ProbeOutcome> {
  return new Promise((resolve) => {
    let connected = false;
    const ready = (): void => {
      connected = true;
    };
    const request = send(
      open === null ? options : { ...options, agent: undefined, createConnection: () => open(ready) },
    );
    if (open === null) request.on('socket', (socket) => socket.once('connect', ready));
    const abort = (): void => end({ result: 'timeout', detail: 'aborted' });
    const end = (outcome: ProbeOutcome): void => {
      signal.removeEventListener('abort', abort);
      request.destroy();
      resolve(outcome);
    };
    // Errors may follow the outcome: the connection is cut.
    request.on('error', (error) => end({ result: connected ? 'protocol' : 'connect', detail: codeOf(error) }));
    request.on('response', (response) => {
      const { statusCode: status = 0 } = response;
      response.on('error', (error) => end({ result: 'protocol', detail: codeOf(error) }));
      if (statuses.some(({ from, to }) => status >= from && status <= to)) read(response, end);
      else end({ result: 'status', detail: String(status) });
    });
    // Nothing of it is wanted.
    request.on('upgrade', (_response, socket) => {
      socket.destroy();
      end({ result: 'protocol', detail: 'upgrade' });
    });
    signal.addEventListener('abort', abort, { once: true });
    if (signal.aborted) abort();
    else request.end();
  });
}

function read(response: IncomingMessage, end: (outcome: ProbeOutcome) => void): void {
  let length = 0;
  response.on('data', (chunk: Buffer) => {
    length += chunk.length;
    if (length > MAX_BODY_BYTES) end(SUCCESS);
  });
  response.on('end', () => end(SUCCESS));
}
