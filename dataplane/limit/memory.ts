/**
 * What a data plane keeps of its limits: one block for all its workers, since the kernel hands a client's connections to any of them. The
 * supervisor makes it, every worker gets it when it starts, and it outlives workers that die.
 */
import { randomBytes } from 'node:crypto';
import type { HashSeed } from './hash.ts';
import { setsFor, tableBytes } from './layout.ts';
import { WHOLE } from './share.ts';

export interface LimitMemory {
  readonly table: SharedArrayBuffer;
  /** One 32-bit word: see share.ts. */
  readonly share: SharedArrayBuffer;
  readonly seed: HashSeed;
  /** Worker threads that use it. */
  readonly workers: number;
  /** ms of the machine's monotonic clock at which `now` of limits was 0. */
  readonly originMs: number;
  /** ms since the epoch at that time, whole: windows of all data planes begin together as far as their clocks agree. */
  readonly epochMs: number;
}

export interface LimitMemoryOptions {
  /** Keys that are remembered at least, 1 to 16,777,216; rounded up to a power of two. 36 bytes each, taken as they are used. */
  readonly keys: number;
  readonly workers: number;
}

export function createLimitMemory({ keys, workers }: LimitMemoryOptions): LimitMemory {
  const share = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
  new Int32Array(share)[0] = WHOLE;
  const random = randomBytes(8);
  // A little before now: 0 means "never" in the table.
  const originMs = Math.floor(machineMs()) - 1000;
  return {
    table: new SharedArrayBuffer(tableBytes(setsFor(keys))),
    share,
    seed: [random.readInt32LE(0), random.readInt32LE(4)],
    workers,
    originMs,
    epochMs: Math.round(Date.now() - (machineMs() - originMs)),
  };
}

/**
 * ms since `originMs`, the same in every thread: `performance.now()` counts from each thread's own start, on the clock that hrtime reads. The
 * wall clock is not asked again: a step of it neither opens nor closes a window early.
 */
export function limitClock(memory: Pick<LimitMemory, 'originMs'>): () => number {
  let offset = Number.POSITIVE_INFINITY;
  // The smallest of a few: a pause between the two readings only makes it larger.
  for (let i = 0; i < 8; i++) {
    const own = performance.now();
    offset = Math.min(offset, machineMs() - own);
  }
  const from = offset - memory.originMs;
  return () => performance.now() + from;
}

function machineMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
