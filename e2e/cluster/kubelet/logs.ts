import { closeSync, existsSync, fstatSync, openSync, readSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export interface LogQuery {
  /** Only this many lines from the end. */
  tailLines?: number;
  limitBytes?: number;
  follow: boolean;
}

const chunkBytes = 64 * 1024;
const followEveryMs = 100;

/** The log of a container's n-th run: stdout and stderr as they came. */
export function logFile(podDirectory: string, container: string, run: number): string {
  return join(podDirectory, 'containers', `${container}.${run}.log`);
}

/** Keeps the logs of the current and the previous run, as a kubelet does. */
export function trimLogs(podDirectory: string, container: string, run: number): void {
  if (run >= 2) rmSync(logFile(podDirectory, container, run - 2), { force: true });
}

/** Writes a log, and with `follow` what is added to it, until `ended` says that nothing will come any more. */
export async function streamLog(
  file: string,
  query: LogQuery,
  write: (chunk: Buffer) => Promise<void>,
  ended: () => boolean,
  signal: AbortSignal,
): Promise<void> {
  if (!existsSync(file)) return;
  const fd = openSync(file, 'r');
  try {
    let position = query.tailLines === undefined ? 0 : tailPosition(fd, query.tailLines);
    let left = query.limitBytes ?? Number.POSITIVE_INFINITY;
    const buffer = Buffer.alloc(chunkBytes);
    while (!signal.aborted && left > 0) {
      const finished = ended();
      const count = readSync(fd, buffer, 0, Math.min(chunkBytes, left), position);
      if (count > 0) {
        position += count;
        left -= count;
        await write(Buffer.from(buffer.subarray(0, count)));
        continue;
      }
      if (!query.follow || finished) return;
      await sleep(followEveryMs, undefined, { signal }).catch(() => undefined);
    }
  } finally {
    closeSync(fd);
  }
}

/** Where the last `lines` lines of a file begin. */
function tailPosition(fd: number, lines: number): number {
  const { size } = fstatSync(fd);
  if (lines <= 0) return size;
  let found = 0;
  let end = size;
  const buffer = Buffer.alloc(chunkBytes);
  while (end > 0) {
    const begin = Math.max(0, end - chunkBytes);
    const count = readSync(fd, buffer, 0, end - begin, begin);
    for (let i = count - 1; i >= 0; i -= 1) {
      // The newline that ends the file ends a line, and does not begin another.
      if (buffer[i] !== 0x0a || begin + i === size - 1) continue;
      found += 1;
      if (found === lines) return begin + i + 1;
    }
    end = begin;
  }
  return 0;
}
