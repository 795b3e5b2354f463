/** A request by HTTP/2 to a backend that is spoken to by it, each over a connection of its own; what counts is as in http-probe.ts. */
import { lookup } from 'node:dns';
import { type ClientHttp2Session, type ClientHttp2Stream, connect, type OutgoingHttpHeaders } from 'node:http2';
import type { ActiveHealth } from '../../snapshot/backend/health.ts';
import { endpointName } from '../../snapshot/backend/view.ts';
import type { Dialer } from '../../upstream/dial/dialer.ts';
import { VERSION } from '../../version.ts';
import { codeOf, type Probe, type ProbeOutcome, type ProbeTarget, SUCCESS } from './probe.ts';

type HttpProbe = Extract<ActiveHealth['probe'], { kind: 'http' }>;

/** Of a body so much is read; what follows says nothing any more. */
const MAX_BODY_BYTES = 64 * 1024;
const SETTINGS = { enablePush: false, maxHeaderListSize: 16 * 1024 };

/** RFC 9113 section 8.2.2: of a connection of HTTP/1.1. A host goes into :authority. */
const LEFT_OUT = new Set(['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade', 'host']);

export function openHttp2Probe(probe: HttpProbe, target: ProbeTarget, dialer: Dialer): Probe {
  const fields = fieldsOf(probe, target, dialer.secure ? 'https' : 'http');
  return { run: (signal) => ask(fields, probe.statuses, target, dialer, signal), close: () => {} };
}

function fieldsOf({ method, path, host, headers }: HttpProbe, target: ProbeTarget, scheme: string) {
  const fields: OutgoingHttpHeaders = { 'user-agent': `Tidegate-Health/${VERSION}` };
  let authority = host ?? endpointName(target);
  for (const { name, value } of headers) {
    const lower = name.toLowerCase();
    if (lower === 'host') authority = value;
    if (!LEFT_OUT.has(lower)) fields[lower] = value;
  }
  return { ...fields, ':method': method, ':path': path, ':scheme': scheme, ':authority': authority };
}

function ask(
  fields: OutgoingHttpHeaders,
  statuses: HttpProbe['statuses'],
  target: ProbeTarget,
  dialer: Dialer,
  signal: AbortSignal,
): Promise<ProbeOutcome> {
  return new Promise((resolve) => {
    let session: ClientHttp2Session | null = null;
    const abort = (): void => end({ result: 'timeout', detail: 'aborted' });
    const end = (outcome: ProbeOutcome): void => {
      signal.removeEventListener('abort', abort);
      session?.destroy();
      socket.destroy();
      resolve(outcome);
    };
    const failed = (error: unknown): void =>
      end({ result: session === null ? 'connect' : 'protocol', detail: codeOf(error) });
    const ready = (): void => {
      // A session does not see the other side's end, where its socket would still write.
      socket.allowHalfOpen = false;
      session = connect(`${fields[':scheme']}://localhost`, { createConnection: () => socket, settings: SETTINGS });
      session.on('error', failed);
      try {
        read(session.request(fields), statuses, end, failed);
      } catch (error) {
        failed(error);
      }
    };
    const dialed = { ...target, hostName: target.hostName ?? '', lookup, session: null };
    const { socket } = dialer.dial(dialed, { ready });
    // Errors may follow the outcome: the connection is cut.
    socket.on('error', failed);
    signal.addEventListener('abort', abort, { once: true });
    if (signal.aborted) abort();
  });
}

function read(
  stream: ClientHttp2Stream,
  statuses: HttpProbe['statuses'],
  end: (outcome: ProbeOutcome) => void,
  failed: (error: unknown) => void,
): void {
  let length = 0;
  let whole = false;
  stream.on('error', failed);
  stream.on('response', ({ ':status': status = 0 }) => {
    if (!statuses.some(({ from, to }) => status >= from && status <= to)) {
      end({ result: 'status', detail: String(status) });
      return;
    }
    stream.on('data', (chunk: Buffer) => {
      length += chunk.length;
      if (length > MAX_BODY_BYTES) end(SUCCESS);
    });
    stream.on('end', () => {
      whole = !stream.aborted;
    });
  });
  stream.on('close', () => {
    end(whole && stream.rstCode === 0 ? SUCCESS : { result: 'protocol', detail: `reset ${stream.rstCode}` });
  });
  stream.end();
}
