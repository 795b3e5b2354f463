/** Numbers of RFC 9113 (frame types, flags, errors, settings), and what holds for a frame of each type by itself. */

export const FRAME_HEADER_BYTES = 9;
/** SETTINGS_MAX_FRAME_SIZE when nothing is said; neither side here says anything. */
export const MAX_FRAME_BYTES = 16_384;
export const MAX_WINDOW = 2 ** 31 - 1;
export const DEFAULT_WINDOW = 65_535;
export const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';

export const DATA = 0;
export const HEADERS = 1;
export const PRIORITY = 2;
export const RST_STREAM = 3;
export const SETTINGS = 4;
export const PUSH_PROMISE = 5;
export const PING = 6;
export const GOAWAY = 7;
export const WINDOW_UPDATE = 8;
export const CONTINUATION = 9;

/** The same bit: of DATA and HEADERS; of SETTINGS and PING. */
export const END_STREAM = 0x1;
export const ACK = 0x1;
export const END_HEADERS = 0x4;
export const PADDED = 0x8;
export const HAS_PRIORITY = 0x20;

export const NO_ERROR = 0;
export const PROTOCOL_ERROR = 1;
export const INTERNAL_ERROR = 2;
export const FLOW_CONTROL_ERROR = 3;
export const STREAM_CLOSED = 5;
export const FRAME_SIZE_ERROR = 6;
export const REFUSED_STREAM = 7;
export const CANCEL = 8;
export const COMPRESSION_ERROR = 9;
export const ENHANCE_YOUR_CALM = 11;

export const SETTINGS_ENABLE_PUSH = 2;
export const SETTINGS_MAX_CONCURRENT_STREAMS = 3;
export const SETTINGS_INITIAL_WINDOW_SIZE = 4;
export const SETTINGS_MAX_FRAME_SIZE = 5;
export const SETTINGS_MAX_HEADER_LIST_SIZE = 6;
/** RFC 8441 section 3. */
export const SETTINGS_ENABLE_CONNECT_PROTOCOL = 8;

/** Writes the nine bytes of a frame's header; returns the offset after them. */
export function writeFrameHeader(
  out: Uint8Array,
  at: number,
  length: number,
  type: number,
  flags: number,
  stream: number,
): number {
  out[at] = length >> 16;
  out[at + 1] = length >> 8;
  out[at + 2] = length;
  out[at + 3] = type;
  out[at + 4] = flags;
  writeWord(out, at + 5, stream);
  return at + FRAME_HEADER_BYTES;
}

export function writeWord(out: Uint8Array, at: number, value: number): void {
  out[at] = value >>> 24;
  out[at + 1] = value >> 16;
  out[at + 2] = value >> 8;
  out[at + 3] = value;
}

/** 31 bits: stream identifiers and window sizes; the highest one is reserved. */
export function readWord31(bytes: Uint8Array, at: number): number {
  return readWord(bytes, at) & 0x7fffffff;
}

export function readWord(bytes: Uint8Array, at: number): number {
  return (
    (((bytes[at] as number) << 24) |
      ((bytes[at + 1] as number) << 16) |
      ((bytes[at + 2] as number) << 8) |
      (bytes[at + 3] as number)) >>>
    0
  );
}

/** What is wrong with a frame whatever came before it (RFC 9113 section 6), as an error of the connection; below 0: nothing. */
export function frameError(type: number, flags: number, stream: number, length: number): number {
  switch (type) {
    case DATA:
    case HEADERS:
    case CONTINUATION:
    case PRIORITY:
      return stream === 0 ? PROTOCOL_ERROR : -1;
    case RST_STREAM:
      if (stream === 0) return PROTOCOL_ERROR;
      return length === 4 ? -1 : FRAME_SIZE_ERROR;
    case SETTINGS:
      if (stream !== 0) return PROTOCOL_ERROR;
      return ((flags & ACK) !== 0 ? length === 0 : length % 6 === 0) ? -1 : FRAME_SIZE_ERROR;
    case PING:
      if (stream !== 0) return PROTOCOL_ERROR;
      return length === 8 ? -1 : FRAME_SIZE_ERROR;
    case GOAWAY:
      if (stream !== 0) return PROTOCOL_ERROR;
      return length >= 8 ? -1 : FRAME_SIZE_ERROR;
    case WINDOW_UPDATE:
      return length === 4 ? -1 : FRAME_SIZE_ERROR;
    case PUSH_PROMISE:
      // Clients never push, and we never let backends.
      return PROTOCOL_ERROR;
    default:
      return -1;
  }
}

/** What is wrong with a setting (RFC 9113 section 6.5.2, RFC 8441 section 3); below 0: nothing. */
export function settingError(id: number, value: number): number {
  switch (id) {
    case SETTINGS_INITIAL_WINDOW_SIZE:
      return value > MAX_WINDOW ? FLOW_CONTROL_ERROR : -1;
    case SETTINGS_MAX_FRAME_SIZE:
      return value < MAX_FRAME_BYTES || value > 0xffffff ? PROTOCOL_ERROR : -1;
    case SETTINGS_ENABLE_PUSH:
    case SETTINGS_ENABLE_CONNECT_PROTOCOL:
      return value > 1 ? PROTOCOL_ERROR : -1;
    default:
      return -1;
  }
}

/** The payload of a SETTINGS frame. */
export function settingsPayload(settings: readonly (readonly [id: number, value: number])[]): Uint8Array {
  const bytes = new Uint8Array(settings.length * 6);
  settings.forEach(([id, value], i) => {
    bytes[i * 6] = id >> 8;
    bytes[i * 6 + 1] = id;
    writeWord(bytes, i * 6 + 2, value);
  });
  return bytes;
}
