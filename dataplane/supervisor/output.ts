/**
 * Everything the process writes to stdout and to the access log file, batched and without waiting. What can't be written piles up only so
 * far; beyond, it is dropped and counted: a reader that sleeps must not stop the gateway.
 */
import { closeSync, openSync } from 'node:fs';
import { pino } from 'pino';
import sonic from 'sonic-boom';
import type { AccessLogTarget, Config } from '../config.ts';
import { DataplaneError } from '../errors.ts';
import type { Log } from '../log.ts';

/** Bytes that may wait for one target. */
const MAX_WAITING = 64 * 1024 * 1024;

export interface Output {
  readonly log: Log;
  /** Whole lines of the access log. */
  readonly writeLines: (lines: Uint8Array) => void;
  /** Pieces that were dropped because their target took nothing. */
  readonly dropped: () => number;
  /** Opens the access log file anew, for rotation. */
  readonly reopen: () => void;
  /** Writes what waits before the process ends; nothing may be written after. */
  readonly end: () => void;
}

/** Throws DataplaneError DP_LOG when the access log file can't be opened. */
export function createOutput(level: Config['logLevel'], accessLog: AccessLogTarget): Output {
  let dropped = 0;
  const open = (dest: number | string): sonic.SonicBoom => {
    const stream = new sonic.SonicBoom({
      dest: dest as string,
      sync: false,
      append: true,
      mode: FILE_MODE,
      maxLength: MAX_WAITING,
      contentMode: 'buffer',
    });
    stream.on('drop', () => dropped++);
    // A reader that went away (EPIPE) or a full disk: the gateway goes on without.
    stream.on('error', () => dropped++);
    return stream;
  };
  const put = (stream: sonic.SonicBoom, bytes: Uint8Array): void => {
    try {
      // In this mode it takes buffers, whatever its types say.
      (stream as unknown as { write(bytes: Uint8Array): boolean }).write(bytes);
    } catch {
      dropped++;
    }
  };
  const stdout = open(1);
  if (accessLog.kind === 'file') tryFile(accessLog.path);
  const lines = accessLog.kind === 'file' ? open(accessLog.path) : stdout;
  const log = pino(
    { level, base: null, timestamp: () => `,"time":"${new Date().toISOString()}"` },
    { write: (text: string) => put(stdout, Buffer.from(text)) },
  );
  return {
    log,
    writeLines: (bytes) => put(lines, bytes),
    dropped: () => dropped,
    reopen: () => {
      if (lines !== stdout) lines.reopen();
    },
    end: () => {
      for (const stream of new Set([lines, stdout])) {
        try {
          stream.flushSync();
        } catch {
          // Not open yet, or its reader is gone: there is nobody left to tell.
        }
      }
    },
  };
}

const FILE_MODE = 0o640;

/** The stream opens its file later; a mistake in the path is to be told now. */
function tryFile(path: string): void {
  try {
    closeSync(openSync(path, 'a', FILE_MODE));
  } catch (error) {
    throw new DataplaneError('DP_LOG', "the access log (TIDEGATE_ACCESS_LOG) can't be opened", {
      cause: error,
      retryable: false,
    });
  }
}
