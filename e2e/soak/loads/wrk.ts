/** Small answers over kept connections as fast as they go, by wrk, where it is installed: it costs a tenth of clients in JavaScript. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { parseWrk } from '../../bench/measure.ts';
import type { Group } from '../load.ts';

const execute = promisify(execFile);
/** Of one run: its connections are opened anew after it. */
const SECONDS = 10;

/** Null: it is not installed. */
export function wrkPath(): string | null {
  const folders = (process.env.PATH ?? '').split(delimiter);
  return folders.map((folder) => join(folder, 'wrk')).find(existsSync) ?? null;
}

export function wrk(path: string, httpPort: number, httpsPort: number): Group {
  const run = async (url: string): Promise<number> => {
    const args = ['--latency', '-t1', '-c16', `-d${SECONDS}s`, '--timeout', '20s', url];
    const { requests, failures } = parseWrk((await execute(path, args, { timeout: (SECONDS + 30) * 1000 })).stdout);
    if (failures > 0) throw new Error(`${failures} of ${requests}`);
    return requests;
  };
  return {
    kinds: [
      { name: 'HTTP/1.1 by wrk', loops: 1, once: () => run(`http://127.0.0.1:${httpPort}/`) },
      { name: 'HTTPS by wrk', loops: 1, once: () => run(`https://127.0.0.1:${httpsPort}/`) },
    ],
    close: () => {},
  };
}
