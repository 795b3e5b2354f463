/**
 * Everything the process writes to stdout, and the access log where workers don't append to a file themselves, batched and without waiting. What can't be written piles up only so
 * far; beyond, it is dropped and counted: a reader that sleeps must not stop the gateway.
 */
import { closeSync, fstatSync, openSync } from 'node:fs';
import { pino } from 'pino';
import sonic from 'sonic-boom';
import type { AccessLogTarget, Config } from '../config.ts';
import { DataplaneError } from '../errors.ts';
import type { Log } from '../log.ts';
import { LINE_FILE_MODE } from '../telemetry/line-file.ts';
import type { AccessLogSink } from '../worker/messages.ts';

/** Bytes that may wait for one target, workers' files together. */
const MAX_WAITING = 64 * 1024 * 1024;

/** Whole lines of the access log. `done` once their bytes are no longer needed, late or never where the target takes nothing. */
export type WriteLines = (lines: Uint8Array, done: () => void) => void;

export type OutputOptions = Pick<Config, 'logLevel' | 'accessLog' | 'workers'>;

export interface Output {
  readonly log: Log;
  /** What workers do with their lines. */
  readonly accessLog: AccessLogSink;
  readonly writeLines: WriteLines;
  /** Pieces that were dropped because their target took nothing. */
  readonly dropped: () => number;
  /** Opens the access log file anew, for rotation. */
  readonly reopen: () => void;
  /** Writes what waits before the process ends; nothing may be written after. */
  readonly end: () => void;
}

/** Throws DataplaneError DP_LOG when the access log file can't be opened. */
export function createOutput({ logLevel, accessLog, workers }: OutputOptions): Output {
  let dropped = 0;
  const open = (dest: number | string): Target => new Target(dest, () => dropped++);
  const stdout = open(1);
  const sink = sinkOf(accessLog, workers);
  const lines = accessLog.kind === 'file' && sink.kind === 'supervisor' ? open(accessLog.path) : stdout;
  const log = pino(
    { level: logLevel, base: null, timestamp: () => `,"time":"${new Date().toISOString()}"` },
    { write: (text: string) => stdout.write(Buffer.from(text), null) },
  );
  return {
    log,
    accessLog: sink,
    writeLines: (bytes, done) => lines.write(bytes, done),
    dropped: () => dropped,
    reopen: () => {
      if (lines !== stdout) lines.reopen();
    },
    end: () => {
      for (const target of new Set([lines, stdout])) target.end();
    },
  };
}

/** A stream of bytes, and who waits for which of them to be written. */
class Target {
  readonly #stream: sonic.SonicBoom;
  readonly #onDrop: () => void;
  /** In the order of writing. */
  readonly #waiting: { left: number; readonly done: (() => void) | null }[] = [];
  #wasDropped = false;

  constructor(dest: number | string, onDrop: () => void) {
    this.#onDrop = onDrop;
    this.#stream = new sonic.SonicBoom({
      dest: dest as string,
      sync: false,
      append: true,
      mode: LINE_FILE_MODE,
      maxLength: MAX_WAITING,
      contentMode: 'buffer',
    });
    this.#stream.on('drop', () => {
      this.#wasDropped = true;
    });
    // A reader that went away (EPIPE) or a full disk: the gateway goes on without.
    this.#stream.on('error', () => onDrop());
    this.#stream.on('write', (bytes: number) => this.#written(bytes));
  }

  write(bytes: Uint8Array, done: (() => void) | null): void {
    this.#wasDropped = false;
    try {
      // In this mode it takes buffers, whatever its types say.
      (this.#stream as unknown as { write(bytes: Uint8Array): boolean }).write(bytes);
    } catch {
      this.#wasDropped = true;
    }
    if (this.#wasDropped) {
      this.#onDrop();
      done?.();
    } else this.#waiting.push({ left: bytes.byteLength, done });
  }

  reopen(): void {
    this.#stream.reopen();
  }

  end(): void {
    try {
      this.#stream.flushSync();
    } catch {
      // Not open yet, or its reader is gone: there is nobody left to tell.
    }
  }

  #written(bytes: number): void {
    let left = bytes;
    for (let first = this.#waiting[0]; first !== undefined && left >= first.left; first = this.#waiting[0]) {
      left -= first.left;
      this.#waiting.shift();
      first.done?.();
    }
    const first = this.#waiting[0];
    if (first !== undefined) first.left -= left;
  }
}

/** Threads that write to a pipe or a device by themselves would break into each other's lines. */
function sinkOf(accessLog: AccessLogTarget, workers: number): AccessLogSink {
  if (accessLog.kind === 'off') return accessLog;
  if (accessLog.kind === 'stdout' || !isRegularFile(accessLog.path)) return { kind: 'supervisor' };
  return { ...accessLog, maxWaitingBytes: Math.floor(MAX_WAITING / workers) };
}

/** It is opened for good later; a mistake in the path is to be told now. */
function isRegularFile(path: string): boolean {
  try {
    const fd = openSync(path, 'a', LINE_FILE_MODE);
    try {
      return fstatSync(fd).isFile();
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    throw new DataplaneError('DP_LOG', "the access log (TIDEGATE_ACCESS_LOG) can't be opened", {
      cause: error,
      retryable: false,
    });
  }
}
