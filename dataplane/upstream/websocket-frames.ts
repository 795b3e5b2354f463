/** Where frames of a WebSocket server begin and end (RFC 6455 section 5.2), read of their heads alone: payloads are counted, not looked at. */

/** What is expected next. The two lengths behind the second byte have 2 and 8 bytes. */
const FIRST = 0;
const SECOND = 1;
const LENGTH = 2;
/** It is no WebSocket, or not one of a server: nothing is known of it any more. */
const LOST = 3;

const CONTINUATION = 0;
const TEXT = 1;
const BINARY = 2;
const CLOSE = 8;
const PING = 9;
const PONG = 10;

export class ServerFrames {
  /** A close frame went by: the end is under way. */
  closing = false;
  private step = FIRST;
  /** Bytes of the frame's payload that are still to come. */
  private payload = 0;
  private lengthBytes = 0;
  /** Frames of a message went by, but not its last one. */
  private fragmented = false;

  /** Between two messages: a frame may be put in here. */
  get between(): boolean {
    return this.step === FIRST && this.payload === 0 && !this.fragmented;
  }

  /** What goes by are no frames of a server. */
  get lost(): boolean {
    return this.step === LOST;
  }

  /** `bytes` go by. With `stop`: only up to the end of the first message that ends in them. Returns how many went. */
  pass(bytes: Uint8Array, stop = false): number {
    const end = bytes.length;
    let at = 0;
    while (at < end && this.step !== LOST) {
      if (this.step === FIRST && this.payload > 0) {
        const rest = end - at;
        if (this.payload > rest) {
          this.payload -= rest;
          return end;
        }
        at += this.payload;
        this.payload = 0;
      } else this.head(bytes[at++] as number);
      if (stop && this.between) return at;
    }
    return end;
  }

  private head(byte: number): void {
    if (this.step === FIRST) {
      const opcode = byte & 0x0f;
      const last = (byte & 0x80) !== 0;
      this.step = SECOND;
      if (opcode === TEXT || opcode === BINARY) {
        if (this.fragmented) this.step = LOST;
        this.fragmented = !last;
      } else if (opcode === CONTINUATION) {
        if (!this.fragmented) this.step = LOST;
        this.fragmented = !last;
      } else if (last && opcode === CLOSE) this.closing = true;
      else if (!last || (opcode !== PING && opcode !== PONG)) this.step = LOST;
    } else if (this.step === SECOND) {
      this.step = byte > 127 ? LOST : FIRST;
      if (byte < 126) this.payload = byte;
      else if (byte < 128) {
        this.step = LENGTH;
        this.lengthBytes = byte === 126 ? 2 : 8;
      }
    } else {
      this.payload = this.payload * 256 + byte;
      this.lengthBytes--;
      if (this.payload > Number.MAX_SAFE_INTEGER) this.step = LOST;
      else if (this.lengthBytes === 0) this.step = FIRST;
    }
  }
}
