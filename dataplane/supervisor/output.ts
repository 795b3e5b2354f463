/**
 * Everything the process writes to stdout and to the access log file, batched and without waiting. What can't be written piles up only so
 * far; beyond, it is dropped and counted: a reader that sleeps must not stop the gateway.
 */
import { pino } from 'pino';
import sonic from 'sonic-boom';
import type { AccessLogTarget, Config } from '../config.ts';
import type { Log } from '../log.ts';

/** Characters that may wait for one target. */
const MAX_WAITING = 64 * 1024 * 1024;

export interface Output {
  readonly log: Log;
  /** Whole lines of the access log. */
  readonly writeLines: (lines: string) => void;
  /** Pieces that were dropped because their target took nothing. */
  readonly dropped: () => number;
  /** Opens the access log file anew, for rotation. */
  readonly reopen: () => void;
  /** Writes what waits before the process ends; nothing may be written after. */
  readonly end: () => void;
}

export function createOutput(level: Config['logLevel'], accessLog: AccessLogTarget): Output {
  let dropped = 0;
  const open = (dest: number | string): sonic.SonicBoom => {
    const stream = new sonic.SonicBoom({
      dest: dest as string,
      sync: false,
      append: true,
      mode: 0o640,
      maxLength: MAX_WAITING,
    });
    stream.on('drop', () => dropped++);
    // A reader that went away (EPIPE) or a full disk: the gateway goes on without.
    stream.on('error', () => dropped++);
    return stream;
  };
  const stdout = open(1);
  const lines = accessLog.kind === 'file' ? open(accessLog.path) : stdout;
  const log = pino({ level, base: null, timestamp: () => `,"time":"${new Date().toISOString()}"` }, stdout);
  return {
    log,
    writeLines: (text) => void lines.write(text),
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
