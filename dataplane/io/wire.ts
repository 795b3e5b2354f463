/**
 * One connection as the engine uses it: read into buffers of our choosing, written as text for heads and small bodies (one conversion, no
 * Buffer) and as buffers for large ones. Plain TCP is read and written through its handle (handle.ts), everything else through its socket.
 */
import net from 'node:net';
import { buffersInUse, type PooledBuffer, SHARED, takeBuffer } from './buffers.ts';
import {
  createWriteRequest,
  handleOf,
  lastWriteWaits,
  readLength,
  resetSocket,
  secureHandleOf,
  type TcpHandle,
  type WriteRequest,
  writeError,
} from './handle.ts';
import { latin1 } from './latin1.ts';
import { beginTurn, endTurn, flushLater } from './turn.ts';

/** `onread`: see above. `data`: plain 'data' events, a fresh Buffer a read; the fallback where a handle can't be had. */
export type ReadMode = 'onread' | 'data';

/** What a wire tells its owner. All of it synchronously, `onBytes` within a turn (see turn.ts). */
export interface WireOwner {
  /** Asked after each read: whether the next one fetches a large part of a body. */
  readonly bulk: boolean;
  /**
   * `bytes` up to `length` were read. With `pooled` they live in it (retain it to keep them); otherwise they are valid during this
   * call only.
   */
  onBytes(bytes: Buffer, length: number, pooled: PooledBuffer | null): void;
  /** The peer sends no more. */
  onEnd(): void;
  /** What was written has left: called after `blocked` was true. */
  onDrain(): void;
  /** Gone; called once, nothing else after it. */
  onClose(error: NodeJS.ErrnoException | null): void;
}

/** Up to this many bytes are joined with what precedes them into one text. */
export const SMALL = 4096;
/** Held text beyond this leaves at once. */
const MAX_HELD = 32 * 1024;
/** Unsent bytes above which the source must pause. */
export const HIGH_WATER = 256 * 1024;

/** Pooled buffers in use beyond which none is held for a response that has not begun. */
const MAX_EXPECTED = 64;

interface Handle {
  writeQueueSize?: number;
}

/** Opens a connection, with `onread` where it can; else its reads are 'data' events. */
export type OpenSocket = (onread: net.OnReadOpts | null) => {
  readonly socket: net.Socket;
  readonly onread: boolean;
  /** TLS on an accepted handle, its handshake done, and nothing read since. */
  readonly secured?: boolean;
};

/** A write that waits for the one before it. */
interface Queued {
  readonly text: string;
  readonly bytes: Uint8Array | null;
  readonly release: (() => void) | null;
  readonly length: number;
}

/** What happens once all that was written has left. */
const STAY = 0;
const FINISH = 1;
const CLOSE = 2;

/** For the next write through a handle, of whichever wire. */
let spare: WriteRequest | null = null;
/** Head and first bytes of a body, with their encodings, as `writev` takes them. */
const PAIR: (string | Uint8Array)[] = ['', 'latin1', '', 'buffer'];

export class Wire {
  readonly socket: net.Socket;
  readonly owner: WireOwner;
  private text = '';
  private claimed: PooledBuffer | null = null;
  private error: NodeJS.ErrnoException | null = null;
  private paused = false;
  /** What was read of an accepted socket before it came here. */
  private early: Buffer | null = null;

  /** Null: reads and writes go through the socket. */
  private handle: TcpHandle | null = null;
  /** What the next read through the handle goes into. */
  private buffer: Buffer = SHARED;
  /** Bytes of writes through the handle that are under way. */
  private waiting = 0;
  /** `blocked` was true: `onDrain` is owed. */
  private owesDrain = false;
  /** The handle is that of TLS: one write at a time (handle.ts). */
  private secure = false;
  /** Of TLS: the one write is under way; text stays held meanwhile. */
  private writing = false;
  private readonly queue: Queued[] = [];
  private ending: typeof STAY | typeof FINISH | typeof CLOSE = STAY;

  /** Takes over an accepted socket (paused since it connected), or opens one. */
  constructor(owner: WireOwner, mode: ReadMode, from: net.Socket | OpenSocket) {
    this.owner = owner;
    let events = mode === 'data';
    if (from instanceof net.Socket) {
      if (!events && from.readableLength > 0) this.early = from.read() as Buffer;
      this.socket = from;
      if (!events && !this.attach()) this.socket = reopen(from, this.onread());
    } else {
      const opened = from(events ? null : this.onread());
      this.socket = opened.socket;
      events = !opened.onread;
      if (!events && opened.secured === true) this.attachSecure();
      else if (!events) this.socket.prependOnceListener('connect', () => this.attach());
    }
    const socket = this.socket;
    if (events) socket.on('data', (bytes: Buffer) => this.read(bytes, bytes.length));
    socket.on('end', () => this.turn(this.end));
    socket.on('drain', () => this.turn(this.drain));
    socket.on('error', (error) => {
      this.error = error;
    });
    socket.on('close', () => this.turn(this.close));
  }

  /** For a socket that is read without its handle, and for one until it is connected. */
  private onread(): net.OnReadOpts {
    return {
      buffer: () => this.nextBuffer(),
      callback: (length, bytes) => {
        this.read(bytes as Buffer, length);
        return true;
      },
    };
  }

  /** Starts reading on an accepted socket. */
  start(): void {
    const { early } = this;
    if (early !== null) {
      this.early = null;
      // Later, as for any other socket: who starts it is not ready for bytes yet.
      process.nextTick(() => this.socket.destroyed || this.read(early, early.length));
    }
    this.socket.resume();
  }

  /** From here on through the handle, where there is one and nothing waits in the socket. */
  private attach(): boolean {
    const handle = this.socket.writableLength > 0 ? null : handleOf(this.socket);
    if (handle === null) return false;
    handle.useUserBuffer(SHARED);
    this.take(handle);
    return true;
  }

  /** Reads go into the shared buffer already (`onread` of the socket). */
  private attachSecure(): void {
    const handle = this.socket.writableLength > 0 ? null : secureHandleOf(this.socket);
    if (handle === null) return;
    this.secure = true;
    this.take(handle);
  }

  private take(handle: TcpHandle): void {
    const { onread } = handle;
    handle.onread = (arrayBuffer) => {
      const length = readLength();
      // The end and errors are the socket's business.
      if (length <= 0 || this.closed) return onread?.call(handle, arrayBuffer);
      this.read(this.buffer, length);
      const next = this.nextBuffer();
      if (next === this.buffer) return undefined;
      this.buffer = next;
      return next;
    };
    this.handle = handle;
  }

  /**
   * Whether a pooled buffer may wait for a body that has not begun: with its head in the shared buffer it would take a read and a write more.
   * The owner says `bulk` for that while it is told of bytes. Only then: a buffer given to the handle at another time stays with it for good
   * (UseUserBuffer of node's stream_base.cc stacks listeners, 57 bytes each).
   */
  get mayExpect(): boolean {
    return this.handle !== null && !this.secure && buffersInUse() < MAX_EXPECTED;
  }

  /** What the next read goes into. */
  private nextBuffer(): Buffer {
    if (this.claimed !== null) return this.claimed.bytes;
    if (!this.owner.bulk) return SHARED;
    this.claimed = takeBuffer();
    return this.claimed.bytes;
  }

  get closed(): boolean {
    // A destroyed socket has no handle, and a field is read faster than what streams compute it from.
    if (this.handle !== null) return (this.socket as unknown as { _handle: Handle | null })._handle === null;
    return this.socket.destroyed;
  }

  /** Bytes written and not yet taken by the kernel. */
  get unsent(): number {
    return this.socket.writableLength + this.waiting + this.text.length;
  }

  /** True: stop writing until `onDrain`. */
  get blocked(): boolean {
    if (this.waiting === 0) return this.handle === null && this.socket.writableLength >= HIGH_WATER;
    return this.waiting >= HIGH_WATER;
  }

  /** A number that moves whenever the kernel takes bytes; used to see a peer that stopped reading. */
  get progress(): number {
    const handle = (this.socket as unknown as { _handle: Handle | null })._handle;
    return this.socket.bytesWritten - this.socket.writableLength - (handle?.writeQueueSize ?? 0);
  }

  /** Text of one character a byte; leaves when the events at hand are worked off (turn.ts), joined with what else is written until then. */
  write(text: string): void {
    if (this.text === '') {
      this.text = text;
      flushLater(this);
    } else {
      this.text += text;
    }
    if (this.text.length > MAX_HELD) this.flush();
  }

  /** Body bytes; `release` is called once they are no longer needed. With a null one they are copied. */
  writeBytes(bytes: Uint8Array, release: (() => void) | null): void {
    const length = bytes.length;
    if (length <= SMALL) {
      this.write(latin1(bytes, 0, length));
      if (release !== null) release();
      return;
    }
    if (this.closed) {
      if (release !== null) release();
      return;
    }
    let sent = bytes;
    let done = release;
    if (done === null) {
      if (length > SHARED.length) sent = Buffer.from(bytes);
      else {
        const copy = takeBuffer();
        copy.bytes.set(bytes, 0);
        sent = copy.bytes.subarray(0, length);
        done = copy.release;
      }
    }
    const { text } = this;
    this.text = '';
    if (this.handle !== null) {
      this.send(this.handle, text, sent, done);
      return;
    }
    const socket = this.socket;
    if (text === '') {
      if (done === null) socket.write(sent);
      else socket.write(sent, done);
      return;
    }
    socket.cork();
    socket.write(text, 'latin1');
    if (done === null) socket.write(sent);
    else socket.write(sent, done);
    socket.uncork();
  }

  /** Bytes that were joined already: at once, whatever their number. `release` as in `writeBytes`; null: they are the wire's. */
  writeJoined(bytes: Uint8Array, release: (() => void) | null): void {
    this.flush();
    if (this.closed) {
      if (release !== null) release();
    } else if (this.handle !== null) this.send(this.handle, '', bytes, release);
    else if (release === null) this.socket.write(bytes);
    else this.socket.write(bytes, release);
  }

  flush(): void {
    const { text } = this;
    if (text === '' || (this.writing && text.length <= MAX_HELD)) return;
    this.text = '';
    if (this.closed) return;
    if (this.handle !== null) this.send(this.handle, text, null, null);
    else this.socket.write(text, 'latin1');
  }

  /** One system call, as long as the kernel takes everything; else the rest follows as it can, in order. */
  private send(handle: TcpHandle, text: string, bytes: Uint8Array | null, release: (() => void) | null): void {
    if (this.secure) {
      const length = text.length + (bytes === null ? 0 : bytes.length);
      this.waiting += length;
      if (this.waiting >= HIGH_WATER) this.owesDrain = true;
      if (this.writing) this.queue.push({ text, bytes, release, length });
      else this.encrypt(handle, text, bytes, release, length);
      return;
    }
    const request = spare ?? createWriteRequest();
    spare = request;
    const status = put(handle, request, text, bytes);
    if (status === 0 && lastWriteWaits()) {
      spare = null;
      request.oncomplete = onWritten;
      request.owner = this;
      request.held = bytes;
      request.release = release;
      request.length = text.length + (bytes === null ? 0 : bytes.length);
      this.waiting += request.length;
      if (this.waiting >= HIGH_WATER) this.owesDrain = true;
      return;
    }
    if (release !== null) release();
    if (status !== 0) this.socket.destroy(writeError(status));
  }

  /** One record, as long as it fits in one. What it is made of is not needed afterwards. */
  private encrypt(
    handle: TcpHandle,
    text: string,
    bytes: Uint8Array | null,
    release: (() => void) | null,
    length: number,
  ): void {
    const request = createWriteRequest();
    request.oncomplete = onWritten;
    request.owner = this;
    request.length = length;
    this.writing = true;
    const status = put(handle, request, text, bytes);
    if (release !== null) release();
    if (status === 0 && lastWriteWaits()) return;
    request.oncomplete = null;
    this.written(length, status);
  }

  /** A write that had to wait is over, in whichever way. */
  written(length: number, status: number): void {
    this.waiting -= length;
    this.writing = false;
    if (this.closed) return;
    if (status < 0) {
      this.socket.destroy(writeError(status));
      return;
    }
    if (this.secure) this.goOn();
    if (this.waiting === 0 && this.owesDrain) {
      this.owesDrain = false;
      this.turn(this.drain);
    }
  }

  /** The next of what waited for a write to be over. */
  private goOn(): void {
    const next = this.queue.shift();
    if (next !== undefined) this.encrypt(this.handle as TcpHandle, next.text, next.bytes, next.release, next.length);
    else if (this.text !== '') this.flush();
    else if (this.ending === FINISH) this.socket.end();
    else if (this.ending === CLOSE) this.socket.destroySoon();
  }

  pause(): void {
    if (this.paused) return;
    this.paused = true;
    if (this.handle === null) this.socket.pause();
    else if (!this.closed && this.handle.reading) {
      this.handle.reading = false;
      this.handle.readStop();
    }
  }

  resume(): void {
    if (!this.paused) return;
    this.paused = false;
    if (this.handle === null) this.socket.resume();
    else if (!this.closed && !this.handle.reading) {
      this.handle.reading = true;
      this.handle.readStart();
    }
  }

  /** Sends what is held, then FIN; reading goes on. */
  finish(): void {
    this.flush();
    if (!this.writing) this.socket.end();
    else if (this.ending === STAY) this.ending = FINISH;
  }

  /** Sends what is held, then closes. */
  finishAndClose(): void {
    this.flush();
    if (this.writing) this.ending = CLOSE;
    else this.socket.destroySoon();
  }

  destroy(): void {
    this.text = '';
    this.socket.destroy();
  }

  /** Closes so that the peer does not take what it has for everything. */
  reset(): void {
    this.text = '';
    resetSocket(this.socket);
  }

  private read(bytes: Buffer, length: number): void {
    const pooled = this.claimed;
    this.claimed = null;
    beginTurn();
    try {
      this.owner.onBytes(bytes, length, pooled);
    } finally {
      if (pooled !== null) pooled.release();
      endTurn();
    }
  }

  /** Runs `step` as a read callback is run: what it writes leaves together. */
  turn(step: () => void): void {
    beginTurn();
    try {
      step.call(this);
    } finally {
      endTurn();
    }
  }

  private end(): void {
    this.owner.onEnd();
  }

  private drain(): void {
    this.owner.onDrain();
  }

  private close(): void {
    if (this.claimed !== null) this.claimed.release();
    this.claimed = null;
    for (const { release } of this.queue.splice(0)) if (release !== null) release();
    this.owner.onClose(this.error);
  }
}

function put(handle: TcpHandle, request: WriteRequest, text: string, bytes: Uint8Array | null): number {
  if (bytes === null) return handle.writeLatin1String(request, text);
  if (text === '') return handle.writeBuffer(request, bytes);
  PAIR[0] = text;
  PAIR[2] = bytes;
  const status = handle.writev(request, PAIR, false);
  PAIR[2] = '';
  return status;
}

function onWritten(this: WriteRequest, status: number): void {
  const { owner, release } = this;
  this.held = null;
  this.release = null;
  if (release !== null) release();
  (owner as Wire).written(this.length, status);
}

/**
 * A socket on the handle of an accepted one, as only a new socket takes `onread`. The accepted shell is closed without its handle,
 * so that its server counts it out; connections are counted by the listener.
 */
function reopen(accepted: net.Socket, onread: net.OnReadOpts): net.Socket {
  const shell = accepted as unknown as { _handle: unknown };
  const handle = shell._handle;
  shell._handle = null;
  accepted.destroy();
  return new net.Socket({ handle, onread, allowHalfOpen: true } as net.SocketConstructorOpts);
}
