/** HTTP/2 over TLS 1.3 by `h2load`: 16 connections are 16 sessions, of ten streams at a time each. */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import http2 from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Client } from '../client.ts';
import { parseH2load } from '../grpc/client.ts';
import type { LoadOptions, LoadResult } from '../measure.ts';

const execute = promisify(execFile);

export const SESSIONS = 16;
export const STREAMS = 10;
/** What certificates and routes are for. */
export const HOST = 'bench.test';

export const overTls: Client = { scheme: 'https', answers, load };

async function answers(url: string, content: string): Promise<boolean> {
  const { origin, pathname, port } = new URL(url);
  const session = http2.connect(origin, { servername: HOST, rejectUnauthorized: false });
  session.on('error', () => {});
  session.setTimeout(5000, () => session.destroy());
  try {
    const stream = session.request({ ':path': pathname, ':authority': `${HOST}:${port}` });
    let status = 0;
    stream.on('response', (fields) => {
      status = fields[':status'] ?? 0;
    });
    const parts: Buffer[] = [];
    stream.on('data', (part: Buffer) => parts.push(part));
    await once(stream, 'close');
    return status === 200 && Buffer.concat(parts).toString() === content;
  } catch {
    return false;
  } finally {
    session.destroy();
  }
}

async function load({ url, connections, seconds, core }: LoadOptions): Promise<LoadResult> {
  const { pathname, port, host } = new URL(url);
  const dir = mkdtempSync(join(tmpdir(), 'tidegate-h2load-'));
  const log = join(dir, 'log');
  try {
    const { stdout } = await execute(
      'taskset',
      [
        ...['-c', String(core), 'h2load', '-t1', `-c${connections}`, `-m${STREAMS}`, `-D${seconds}`],
        ...['--warm-up-time=0s', `--log-file=${log}`, `--connect-to=${host}`, `https://${HOST}:${port}${pathname}`],
      ],
      { timeout: seconds * 1000 + 20_000 },
    );
    return parseH2load(stdout, readFileSync(log, 'latin1'), seconds);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
