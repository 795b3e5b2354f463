/**
 * Unary calls by `h2load`, which posts one message and looks at the HTTP status. ghz would look at the gRPC status too, but is a client that costs more CPU
 * than some of the proxies; that answers are right is asked of each peer before.
 */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http2 from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Client } from '../client.ts';
import type { LoadOptions, LoadResult } from '../measure.ts';
import { frame } from './frame.ts';

const execute = promisify(execFile);

export const STREAMS = 10;
const CALL = ['content-type: application/grpc', 'te: trailers', 'user-agent: grpc-bench/1.0'];

export const grpc: Client = {
  scheme: 'http',
  answers: callAnswers,
  load: loadCalls,
};

/** Whether a call is answered with exactly this message and status 0. */
async function callAnswers(url: string, content: string): Promise<boolean> {
  const { origin, pathname } = new URL(url);
  const session = http2.connect(origin);
  session.on('error', () => {});
  session.setTimeout(5000, () => session.destroy());
  try {
    const stream = session.request({
      ':method': 'POST',
      ':path': pathname,
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    let status = '';
    stream.on('trailers', (fields) => {
      status = String(fields['grpc-status']);
    });
    stream.end(frame(content));
    const parts: Buffer[] = [];
    stream.on('data', (part: Buffer) => parts.push(part));
    await once(stream, 'close');
    return status === '0' && Buffer.concat(parts).equals(frame(content));
  } catch {
    return false;
  } finally {
    session.destroy();
  }
}

async function loadCalls({ url, connections, seconds, core }: LoadOptions): Promise<LoadResult> {
  const dir = mkdtempSync(join(tmpdir(), 'tidegate-h2load-'));
  const [data, log] = [join(dir, 'data'), join(dir, 'log')];
  try {
    writeFileSync(data, frame('x'.repeat(100)));
    const { stdout } = await execute(
      'taskset',
      [
        ...[
          '-c',
          String(core),
          'h2load',
          '-t1',
          `-c${connections}`,
          `-m${STREAMS}`,
          `-D${seconds}`,
          '--warm-up-time=0s',
        ],
        ...['-d', data, `--log-file=${log}`, ...CALL.flatMap((field) => ['-H', field]), url],
      ],
      { timeout: seconds * 1000 + 20_000 },
    );
    return parseH2load(stdout, readFileSync(log, 'latin1'), seconds);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** h2load's report, and its log of one request a line: start, status, µs. Throws when a figure is missing. */
export function parseH2load(report: string, log: string, seconds: number): LoadResult {
  const [, succeeded, failed] = /requests: .* (\d+) succeeded, (\d+) failed/.exec(report) ?? [];
  if (succeeded === undefined || failed === undefined)
    throw new Error(`h2load's report lacks its requests:\n${report}`);
  const micros = Float64Array.from(log.matchAll(/\t(\d+)$/gm), ([, text]) => Number(text)).sort();
  const at = (share: number): number => (micros[Math.floor(micros.length * share)] ?? Number.NaN) / 1000;
  return {
    requests: Number(succeeded),
    requestsPerSecond: Number(succeeded) / seconds,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    // Those under way at the end count as failed nowhere.
    failures: Number(failed),
  };
}
