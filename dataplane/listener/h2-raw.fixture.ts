/** A client that sends HTTP/2 frames one by one, right or wrong ones, over a real socket. */
import net from 'node:net';
import { HpackDecoder } from '../codec/hpack/decoder.ts';
import { encodeField } from '../codec/hpack/encoder.ts';
import * as h2 from '../codec/http2/frames.ts';
import { eventually } from '../engine.fixture.ts';

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

export const GET: readonly string[] = [':method', 'GET', ':scheme', 'http', ':path', '/', ':authority', 'a'];
export const POST: readonly string[] = [':method', 'POST', ':scheme', 'http', ':path', '/', ':authority', 'a'];

export class RawClient {
  readonly frames: Frame[] = [];
  closed = false;
  readonly socket: net.Socket;
  private held = Buffer.alloc(0);
  private readonly hpack = new HpackDecoder();

  private constructor(socket: net.Socket) {
    this.socket = socket;
    socket.on('error', () => {});
    socket.on('end', () => socket.end());
    socket.on('close', () => {
      this.closed = true;
    });
    socket.on('data', (bytes) => this.read(bytes as Buffer));
  }

  /** Connected; with `settings` (id, value pairs) the preface and SETTINGS are sent, with null nothing. */
  static async connect(port: number, settings: readonly [number, number][] | null = []): Promise<RawClient> {
    const socket = net.connect({ host: '127.0.0.1', port, noDelay: true });
    await new Promise((resolve) => socket.once('connect', resolve));
    const client = new RawClient(socket);
    if (settings !== null) {
      socket.write(h2.PREFACE);
      client.settings(settings);
    }
    return client;
  }

  send(type: number, flags: number, stream: number, payload: Uint8Array = new Uint8Array()): void {
    this.socket.write(frame(type, flags, stream, payload));
  }

  settings(settings: readonly [number, number][]): void {
    const payload = Buffer.alloc(settings.length * 6);
    settings.forEach(([id, value], i) => {
      payload.writeUInt16BE(id, i * 6);
      payload.writeUInt32BE(value, i * 6 + 2);
    });
    this.send(h2.SETTINGS, 0, 0, payload);
  }

  /** HEADERS; `ends`: with END_STREAM. */
  request(stream: number, fields: readonly string[], ends = true): void {
    this.send(h2.HEADERS, h2.END_HEADERS | (ends ? h2.END_STREAM : 0), stream, block(fields));
  }

  windowUpdate(stream: number, increment: number): void {
    this.send(h2.WINDOW_UPDATE, 0, stream, word(increment));
  }

  reset(stream: number, error = h2.CANCEL): void {
    this.send(h2.RST_STREAM, 0, stream, word(error));
  }

  /** The error code of the first GOAWAY, or of the first RST_STREAM of that stream; undefined: there was none. */
  goaway(): number | undefined {
    return this.frames.find(({ type }) => type === h2.GOAWAY)?.payload.readUInt32BE(4);
  }

  resetOf(stream: number): number | undefined {
    return this.frames.find((frame) => frame.type === h2.RST_STREAM && frame.stream === stream)?.payload.readUInt32BE();
  }

  bytesOf(stream: number): number {
    let bytes = 0;
    for (const frame of this.frames)
      if (frame.type === h2.DATA && frame.stream === stream) bytes += frame.payload.length;
    return bytes;
  }

  /** The fields of the first HEADERS of a stream that has arrived. Only while each block was read in its order. */
  async head(stream: number): Promise<Record<string, string>> {
    const at = (): Frame | undefined =>
      this.frames.find((frame) => frame.type === h2.HEADERS && frame.stream === stream);
    await eventually(() => at() !== undefined, `an answer on stream ${stream}`);
    const { payload } = at() as Frame;
    this.hpack.decode(payload, 0, payload.length, 1e6, 1000);
    const { fields } = this.hpack;
    return Object.fromEntries(fields.flatMap((name, i) => (i % 2 === 0 ? [[name, fields[i + 1] as string]] : [])));
  }

  /** Told GOAWAY with that error, and then the connection closes. */
  async refused(error: number): Promise<void> {
    await eventually(() => this.goaway() !== undefined, `GOAWAY ${error}`);
    if (this.goaway() !== error) throw new Error(`GOAWAY ${this.goaway()}, not ${error}`);
    await eventually(() => this.closed, 'the connection closes');
  }

  destroy(): void {
    this.socket.destroy();
  }

  private read(bytes: Buffer): void {
    this.held = Buffer.concat([this.held, bytes]);
    while (this.held.length >= h2.FRAME_HEADER_BYTES) {
      const length = this.held.readUIntBE(0, 3);
      const end = h2.FRAME_HEADER_BYTES + length;
      if (this.held.length < end) return;
      this.frames.push({
        type: this.held[3] as number,
        flags: this.held[4] as number,
        stream: this.held.readUInt32BE(5),
        payload: this.held.subarray(h2.FRAME_HEADER_BYTES, end),
      });
      this.held = this.held.subarray(end);
    }
  }
}

export function frame(type: number, flags: number, stream: number, payload: Uint8Array): Buffer {
  const out = Buffer.alloc(h2.FRAME_HEADER_BYTES + payload.length);
  h2.writeFrameHeader(out, 0, payload.length, type, flags, stream);
  out.set(payload, h2.FRAME_HEADER_BYTES);
  return out;
}

export function block(fields: readonly string[]): Buffer {
  const out = Buffer.alloc(fields.join('').length + fields.length * 8);
  let at = 0;
  for (let i = 0; i < fields.length; i += 2) at = encodeField(out, at, fields[i] as string, fields[i + 1] as string);
  return out.subarray(0, at);
}

function word(value: number): Buffer {
  const out = Buffer.alloc(4);
  out.writeUInt32BE(value);
  return out;
}
