/** The base64 of application/grpc-web-text while it streams: pieces may be cut anywhere, and each may be padded (doc/PROTOCOL-WEB.md). Pure. */

export class Base64Decoder {
  /** Characters of a group of four that is not whole. */
  #rest = '';

  /** What can be decoded so far; null: this is no base64. */
  decode(chunk: Uint8Array): Buffer | null {
    const text = this.#rest + Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength).toString('latin1');
    const whole = text.length - (text.length % 4);
    this.#rest = text.slice(whole);
    if (!GROUPS.test(whole === text.length ? text : text.slice(0, whole))) return null;
    const pad = text.indexOf('=');
    if (pad < 0 || pad >= whole - 2) return Buffer.from(text.slice(0, whole), 'base64');
    const parts: Buffer[] = [];
    for (let from = 0; from < whole; ) {
      const at = text.indexOf('=', from);
      const to = at < 0 || at >= whole ? whole : at - (at % 4) + 4;
      parts.push(Buffer.from(text.slice(from, to), 'base64'));
      from = to;
    }
    return Buffer.concat(parts);
  }

  /** Nothing is left in the middle. */
  get whole(): boolean {
    return this.#rest === '';
  }
}

const GROUPS = /^(?:[A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==)*$/;
