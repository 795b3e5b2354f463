/**
 * The TCP handle below a `net.Socket`. Reading and writing through it costs a third of what the stream above it does: that one makes a request
 * object and calls back in the next tick for every write, also where the kernel took everything at once, which is nearly always.
 *
 * Node has no public way to it. Where this one is missing or looks different, `handleOf` is null and everything goes through the socket.
 */
import type net from 'node:net';
import { getSystemErrorName } from 'node:util';

export interface TcpHandle {
  /** Called after each read; how much was read is `readLength()`. A Uint8Array that is returned is what the next read goes into. */
  onread: ((arrayBuffer?: ArrayBuffer) => Uint8Array | undefined) | null;
  reading: boolean;
  /** Bytes given to it, unsent ones included. */
  readonly bytesWritten: number;
  /** Bytes the kernel has not taken. */
  readonly writeQueueSize: number;
  readStart(): number;
  readStop(): number;
  /** What reads go into. */
  useUserBuffer(bytes: Uint8Array): void;
  writeLatin1String(request: WriteRequest, text: string): number;
  writeBuffer(request: WriteRequest, bytes: Uint8Array): number;
  /** Chunks and their encodings in turn. */
  writev(request: WriteRequest, chunks: readonly (string | Uint8Array)[], allBuffers: boolean): number;
}

/** Used up by a write only where the kernel did not take everything at once. */
export interface WriteRequest {
  oncomplete: ((this: WriteRequest, status: number) => void) | null;
  /** Where to account for it. */
  owner: unknown;
  length: number;
  release: (() => void) | null;
  /** Keeps the memory of what is unsent. */
  held: Uint8Array | null;
}

interface StreamWrap {
  readonly WriteWrap: new () => WriteRequest;
  readonly streamBaseState: Int32Array;
  readonly kReadBytesOrError: number;
  readonly kLastWriteWasAsync: number;
}

const wrap = load();
const state = wrap?.streamBaseState ?? new Int32Array(1);
const READ = wrap?.kReadBytesOrError ?? 0;
const ASYNC = wrap?.kLastWriteWasAsync ?? 0;

function load(): StreamWrap | null {
  try {
    const { binding } = process as unknown as { binding(name: string): StreamWrap };
    const found = binding.call(process, 'stream_wrap');
    const right =
      typeof found.WriteWrap === 'function' &&
      found.streamBaseState instanceof Int32Array &&
      Number.isInteger(found.kReadBytesOrError) &&
      Number.isInteger(found.kLastWriteWasAsync);
    return right ? found : null;
  } catch {
    return null;
  }
}

/** Of a connected socket; null where there is none, or another kind (TLS). */
export function handleOf(socket: net.Socket): TcpHandle | null {
  return find(socket, 'TCP');
}

/**
 * Of a TLS socket whose handshake is done. It takes one write at a time, encrypts it at once, and completes it from the event loop in any case;
 * a second one before that ends the process.
 */
export function secureHandleOf(socket: net.Socket): TcpHandle | null {
  return find(socket, 'TLSWrap');
}

function find(socket: net.Socket, kind: string): TcpHandle | null {
  const handle = (socket as unknown as { _handle: TcpHandle | null })._handle;
  if (wrap === null || handle === null || handle === undefined || handle.constructor.name !== kind) return null;
  const complete =
    typeof handle.onread === 'function' &&
    typeof handle.useUserBuffer === 'function' &&
    typeof handle.writeLatin1String === 'function' &&
    typeof handle.writeBuffer === 'function' &&
    typeof handle.writev === 'function';
  return complete ? handle : null;
}

/** Closes with a reset, where TCP lies directly below; else (TLS on a socket) without the alert that would make it an end. */
export function resetSocket(socket: net.Socket): void {
  if (!('encrypted' in socket)) {
    socket.resetAndDestroy();
    return;
  }
  const handle = (socket as unknown as { _handle: { _parent?: { close: unknown; reset?: unknown } } | null })._handle;
  const parent = handle?._parent;
  // Node closes what is below with the handle of TLS; resetting takes the same arguments.
  if (typeof parent?.reset === 'function') parent.close = parent.reset;
  socket.destroy();
}

/** Within `onread`: bytes that were read; 0 or below: nothing, the end or an error. */
export function readLength(): number {
  return state[READ] as number;
}

/** After a write that did not fail: the kernel did not take all of it, and the request is under way. */
export function lastWriteWaits(): boolean {
  return state[ASYNC] !== 0;
}

export function createWriteRequest(): WriteRequest {
  const { WriteWrap } = wrap as StreamWrap;
  const request = new WriteWrap();
  request.oncomplete = null;
  request.owner = null;
  request.length = 0;
  request.release = null;
  request.held = null;
  return request;
}

/** As Node makes it of a status below 0. */
export function writeError(status: number): NodeJS.ErrnoException {
  const code = getSystemErrorName(status);
  return Object.assign(new Error(`write ${code}`), { errno: status, code, syscall: 'write' });
}
