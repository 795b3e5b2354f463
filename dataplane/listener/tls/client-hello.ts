/**
 * What a ClientHello asks for (RFC 8446 section 4.1.2, RFC 6066 section 3, RFC 7301), read before TLS is: by it the certificate, the demands on
 * the client and whether the bytes go through are chosen. Nothing is believed of it that the handshake does not check again.
 */

export interface ClientHello {
  /** SNI, lower-case, without a final dot; empty: none. */
  readonly serverName: string;
  /** The application protocols offered, in their order. */
  readonly protocols: readonly string[];
}

/** More bytes are needed. */
export const HELLO_MORE = 0;
/** Not a ClientHello that could be read. */
export const HELLO_BAD = 1;

/** Bytes of a ClientHello with its record headers; beyond: HELLO_BAD. */
export const MAX_HELLO_BYTES = 16_384;

const RECORD_HEADER = 5;
const HANDSHAKE = 22;
const CLIENT_HELLO = 1;
const MAX_RECORD = 16_384;
const EXTENSION_SERVER_NAME = 0;
const EXTENSION_ALPN = 16;
const HOST_NAME = 0;

/** `bytes`: all that was received so far. Pure; called again from the start with each further piece. */
export function readClientHello(bytes: Buffer): ClientHello | typeof HELLO_MORE | typeof HELLO_BAD {
  const message = joinRecords(bytes);
  return typeof message === 'number' ? message : parse(message);
}

/** The handshake message, out of as many records as it came in (RFC 8446 section 5.1). */
function joinRecords(bytes: Buffer): Buffer | typeof HELLO_MORE | typeof HELLO_BAD {
  const pieces: Buffer[] = [];
  let at = 0;
  let held = 0;
  let wanted = -1;
  for (;;) {
    if (at < bytes.length && bytes[at] !== HANDSHAKE) return HELLO_BAD;
    if (at + 1 < bytes.length && bytes[at + 1] !== 3) return HELLO_BAD;
    if (at + RECORD_HEADER > bytes.length) return more(bytes);
    const length = bytes.readUInt16BE(at + 3);
    if (length === 0 || length > MAX_RECORD) return HELLO_BAD;
    at += RECORD_HEADER;
    const piece = bytes.subarray(at, at + length);
    pieces.push(piece);
    held += piece.length;
    const joined = wanted < 0 && held >= 4 ? Buffer.concat(pieces, 4) : null;
    if (joined !== null) {
      if (joined[0] !== CLIENT_HELLO) return HELLO_BAD;
      wanted = 4 + joined.readUIntBE(1, 3);
      if (wanted > MAX_HELLO_BYTES) return HELLO_BAD;
    } else if (wanted < 0 && held > 0 && pieces[0]?.[0] !== CLIENT_HELLO) return HELLO_BAD;
    if (wanted >= 0 && held >= wanted) return Buffer.concat(pieces, wanted);
    at += length;
    if (at > bytes.length) return more(bytes);
  }
}

function more(bytes: Buffer): typeof HELLO_MORE | typeof HELLO_BAD {
  return bytes.length >= MAX_HELLO_BYTES ? HELLO_BAD : HELLO_MORE;
}

/** Reads forward; `failed` once it was asked for more than there is. */
class Reader {
  failed = false;
  private readonly bytes: Buffer;
  private at: number;
  private readonly end: number;

  constructor(bytes: Buffer, at: number, end: number) {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
  }

  get done(): boolean {
    return this.failed || this.at >= this.end;
  }

  uint(width: 1 | 2 | 3): number {
    if (this.at + width > this.end) {
      this.failed = true;
      return 0;
    }
    const value = this.bytes.readUIntBE(this.at, width);
    this.at += width;
    return value;
  }

  skip(length: number): void {
    if (this.at + length > this.end) this.failed = true;
    else this.at += length;
  }

  /** What follows a length of `width` bytes, to be read by itself. */
  vector(width: 1 | 2): Reader {
    const length = this.uint(width);
    const from = this.at;
    this.skip(length);
    return new Reader(this.bytes, from, this.failed ? from : from + length);
  }

  text(): string {
    return this.bytes.toString('latin1', this.at, this.end);
  }
}

function parse(message: Buffer): ClientHello | typeof HELLO_BAD {
  const reader = new Reader(message, 4, message.length);
  // legacy_version, random
  reader.skip(34);
  reader.vector(1);
  reader.vector(2);
  reader.vector(1);
  if (reader.failed) return HELLO_BAD;
  let serverName: string | null = null;
  let protocols: string[] | null = null;
  if (!reader.done) {
    const extensions = reader.vector(2);
    while (!extensions.done) {
      const type = extensions.uint(2);
      const body = extensions.vector(2);
      if (extensions.failed) return HELLO_BAD;
      if (type === EXTENSION_SERVER_NAME) {
        if (serverName !== null) return HELLO_BAD;
        serverName = readServerName(body);
        if (serverName === null) return HELLO_BAD;
      } else if (type === EXTENSION_ALPN) {
        if (protocols !== null) return HELLO_BAD;
        protocols = readProtocols(body);
        if (protocols === null) return HELLO_BAD;
      }
    }
  }
  if (reader.failed || !reader.done) return HELLO_BAD;
  return { serverName: serverName ?? '', protocols: protocols ?? [] };
}

/** One host name; RFC 6066 allows others, which OpenSSL takes as little as this does. */
function readServerName(body: Reader): string | null {
  const list = body.vector(2);
  if (list.uint(1) !== HOST_NAME) return null;
  const name = list.vector(2);
  if (list.failed || !list.done || !body.done || name.done) return null;
  const text = name.text().toLowerCase();
  return SERVER_NAME.test(text) ? text.replace(/\.$/, '') : null;
}

const SERVER_NAME = /^[a-z0-9_](?:[a-z0-9_.-]{0,252}[a-z0-9_.])?$/;

function readProtocols(body: Reader): string[] | null {
  const list = body.vector(2);
  const protocols: string[] = [];
  while (!list.done) {
    const name = list.vector(1);
    if (list.failed || name.done) return null;
    protocols.push(name.text());
  }
  return body.done && !body.failed && protocols.length > 0 ? protocols : null;
}
