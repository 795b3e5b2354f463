/** Asks over TLS with whatever certificate; load by `wrk`, which keeps connections, or by `h2load`, a connection each. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import https from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Client } from '../client.ts';
import { parseH2load } from '../grpc/client.ts';
import { type LoadOptions, type LoadResult, load } from '../measure.ts';

const execute = promisify(execFile);

export const tlsClient: Client = { scheme: 'https', answers, load };

/** A connection, and so a full handshake, for each request: h2load opens as many as it asks for, and knows no session to take up; wrk does. */
export const handshakes: Client = { scheme: 'https', answers, load: loadHandshakes };

/** Connections of one run of h2load. */
const BATCH = 200;

async function loadHandshakes({ url, seconds, core }: LoadOptions): Promise<LoadResult> {
  const dir = mkdtempSync(join(tmpdir(), 'tidegate-h2load-'));
  const log = join(dir, 'log');
  const startedAt = performance.now();
  let [succeeded, failed, lines] = [0, 0, ''];
  try {
    while (performance.now() - startedAt < seconds * 1000) {
      const of = ['-t1', '--h1', `-n${BATCH}`, `-c${BATCH}`, `--log-file=${log}`, url];
      const { stdout } = await execute('taskset', ['-c', String(core), 'h2load', ...of], { timeout: 30_000 });
      const logged = readFileSync(log, 'latin1');
      rmSync(log);
      const batch = parseH2load(stdout, logged, 1);
      succeeded += batch.requests;
      failed += batch.failures;
      lines += logged;
    }
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
  const tookS = (performance.now() - startedAt) / 1000;
  return parseH2load(`requests: all, ${succeeded} succeeded, ${failed} failed`, lines, tookS);
}

function answers(url: string, content: string, headers: Readonly<Record<string, string>> = {}): Promise<boolean> {
  return new Promise((resolve) => {
    const options = { headers, timeout: 5000, agent: false, rejectUnauthorized: false, minVersion: 'TLSv1.3' } as const;
    const request = https.get(url, options, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (part: string) => {
        text += part;
      });
      response.on('end', () => resolve(response.statusCode === 200 && text === content));
      response.on('error', () => resolve(false));
    });
    request.on('timeout', () => request.destroy());
    request.on('error', () => resolve(false));
  });
}
