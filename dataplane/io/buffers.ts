/**
 * Read buffers. Heads and small messages are read into one buffer that all sockets of the worker share and that is used up before the
 * next read; while a body flows, large ones from a pool are used, each given back when the last write of a part of it is done.
 */

/** Bytes in the shared buffer; what must outlive the read is copied, so it is small. */
export const SHARED_BYTES = 16 * 1024;
/** Bytes in a pooled buffer. With 64 KiB a 1 MiB body costs 1.7 times as much CPU. */
export const POOLED_BYTES = 256 * 1024;
/** Buffers kept for the next body; more are left to the garbage collector. */
const MAX_FREE = 64;

export const SHARED = Buffer.allocUnsafeSlow(SHARED_BYTES);

const free: PooledBuffer[] = [];
let outstanding = 0;

/** Counted by its users: `takeBuffer` returns it with one reference, `release` gives one back. */
export class PooledBuffer {
  readonly bytes = Buffer.allocUnsafeSlow(POOLED_BYTES);
  references = 0;
  /** Bound once, so that handing it over makes no closure. */
  readonly release = (): void => {
    if (--this.references > 0) return;
    outstanding--;
    if (free.length < MAX_FREE) free.push(this);
  };
}

export function takeBuffer(): PooledBuffer {
  const buffer = free.pop() ?? new PooledBuffer();
  buffer.references = 1;
  outstanding++;
  return buffer;
}

/** Pooled buffers in use now: reads waiting and writes not yet taken by the kernel. */
export function buffersInUse(): number {
  return outstanding;
}
