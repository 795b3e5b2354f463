interface Latin1 {
  latin1Slice(start: number, end: number): string;
}

const { latin1Slice } = Buffer.prototype as unknown as Latin1;

/** `bytes` from `start` to `end` as text of one character a byte. What `toString('latin1')` does, without the look at its arguments. */
export function latin1(bytes: Uint8Array, start: number, end: number): string {
  return latin1Slice.call(bytes, start, end);
}
