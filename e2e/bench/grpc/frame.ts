/** One gRPC message (length-prefixed, not compressed). */
export function frame(text: string): Buffer {
  const bytes = Buffer.from(text);
  const out = Buffer.alloc(5 + bytes.length);
  out.writeUInt32BE(bytes.length, 1);
  bytes.copy(out, 5);
  return out;
}
