/**
 * The Huffman code of HPACK (RFC 7541 appendix B), decoded four bits at a time. The code is canonical, so the lengths say all of it.
 */

/** Bits of the code of each byte; the end of string (256) has 30. */
const LENGTHS = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28,
  28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
  13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6,
  5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23,
  22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22,
  23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26,
  20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27,
  27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27,
  27, 27, 27, 26,
];
const EOS = 256;
const EOS_BITS = 30;

/**
 * By state × 16 + the next four bits: the state after them (bits 0 to 15), a byte that they complete (bits 16 to 23) and whether there is one
 * (bit 24). The shortest code has five bits: four complete one at most. FAIL: the end of string, which may not appear.
 */
const FAIL = -1;
const transitions: Int32Array = new Int32Array(512 * 16);
/** 1 where a string may end in that state: at most seven bits of padding, all ones. */
const accepting: Uint8Array = new Uint8Array(512);

build();

/**
 * Decodes `bytes` from `start` to `end` into `out`. Returns the length of the text; -1 where the padding is wrong or the end of string
 * appears (RFC 7541 section 5.2), -2 where `out` is too short.
 */
export function decodeHuffman(bytes: Uint8Array, start: number, end: number, out: Uint8Array): number {
  let state = 0;
  let length = 0;
  // A byte in gives at most 8 / 5 of one out.
  if (((end - start) * 8) / 5 > out.length) return -2;
  for (let i = start; i < end; i++) {
    const byte = bytes[i] as number;
    let next = transitions[(state << 4) | (byte >> 4)] as number;
    if (next === FAIL) return -1;
    if (next >= EMITS) out[length++] = (next >> 16) & 0xff;
    next = transitions[((next & 0xffff) << 4) | (byte & 15)] as number;
    if (next === FAIL) return -1;
    if (next >= EMITS) out[length++] = (next >> 16) & 0xff;
    state = next & 0xffff;
  }
  return accepting[state] === 1 ? length : -1;
}

const EMITS = 1 << 24;

function build(): void {
  // The tree: children by node × 2 + bit; a leaf is below 0, as -1 - symbol.
  const children: number[] = [0, 0];
  const order = Array.from({ length: EOS + 1 }, (_, symbol) => symbol);
  const bitsOf = (symbol: number): number => (symbol === EOS ? EOS_BITS : (LENGTHS[symbol] as number));
  order.sort((a, b) => bitsOf(a) - bitsOf(b) || a - b);
  let code = 0;
  let bits = bitsOf(order[0] as number);
  for (const symbol of order) {
    code *= 2 ** (bitsOf(symbol) - bits);
    bits = bitsOf(symbol);
    let node = 0;
    for (let bit = bits - 1; bit > 0; bit--) {
      const at = node * 2 + (Math.floor(code / 2 ** bit) & 1);
      if (children[at] === 0) {
        children[at] = children.length / 2;
        children.push(0, 0);
      }
      node = children[at] as number;
    }
    children[node * 2 + (code & 1)] = -1 - symbol;
    code++;
  }
  for (let node = 0; node < children.length / 2; node++) {
    for (let four = 0; four < 16; four++) transitions[(node << 4) | four] = step(children, node, four);
  }
  // Padding is the beginning of the end of string: up to seven ones from the root.
  let node = 0;
  for (let ones = 0; ones <= 7; ones++) {
    accepting[node] = 1;
    node = children[node * 2 + 1] as number;
  }
}

function step(children: readonly number[], from: number, four: number): number {
  let node = from;
  let emitted = 0;
  for (let bit = 3; bit >= 0; bit--) {
    const next = children[node * 2 + ((four >> bit) & 1)] as number;
    if (next >= 0) {
      node = next;
      continue;
    }
    const symbol = -1 - next;
    if (symbol === EOS) return FAIL;
    emitted = (1 << 24) | (symbol << 16);
    node = 0;
  }
  return emitted | node;
}
