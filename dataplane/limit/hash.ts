/**
 * Keys to 64 bits: HalfSipHash-1-3 (Aumasson and Bernstein's SipHash on 32-bit words; what Linux uses against flooded hash tables), over
 * UTF-16 units, two a word. The seed is random and never leaves the process, so nobody outside can make two keys fall together.
 */
export type HashSeed = readonly [number, number];

/** Continues after a fixed prefix, which costs nothing a request. `lo` and `hi` hold the last result. */
export class KeyHash {
  lo = 0;
  hi = 0;
  readonly #v0: number;
  readonly #v1: number;
  readonly #v2: number;
  readonly #v3: number;

  constructor(seed: HashSeed, prefix: string) {
    const [k0, k1] = seed;
    let v0 = k0;
    let v1 = k1 ^ 0xee;
    let v2 = 0x6c796765 ^ k0;
    let v3 = 0x74656462 ^ k1;
    // Each unit a word, and the length last: no other prefix with a key can look the same.
    for (let i = 0; i <= prefix.length; i++) {
      const m = i === prefix.length ? prefix.length | 0x80000000 : prefix.charCodeAt(i);
      v3 ^= m;
      v0 = (v0 + v1) | 0;
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
      v0 = (v0 << 16) | (v0 >>> 16);
      v2 = (v2 + v3) | 0;
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
      v0 = (v0 + v3) | 0;
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
      v2 = (v2 + v1) | 0;
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
      v2 = (v2 << 16) | (v2 >>> 16);
      v0 ^= m;
    }
    this.#v0 = v0;
    this.#v1 = v1;
    this.#v2 = v2;
    this.#v3 = v3;
  }

  /** Rounds written out: a function of four results would make an array a word. */
  update(key: string): void {
    let v0 = this.#v0;
    let v1 = this.#v1;
    let v2 = this.#v2;
    let v3 = this.#v3;
    const length = key.length;
    for (let i = 0; i <= length; i += 2) {
      // The last word holds what is left and the length.
      const m =
        i + 1 < length
          ? key.charCodeAt(i) | (key.charCodeAt(i + 1) << 16)
          : (i < length ? key.charCodeAt(i) : 0) | (length << 16) | 0;
      v3 ^= m;
      v0 = (v0 + v1) | 0;
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
      v0 = (v0 << 16) | (v0 >>> 16);
      v2 = (v2 + v3) | 0;
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
      v0 = (v0 + v3) | 0;
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
      v2 = (v2 + v1) | 0;
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
      v2 = (v2 << 16) | (v2 >>> 16);
      v0 ^= m;
    }
    v2 ^= 0xee;
    for (let round = 0; round < 6; round++) {
      if (round === 3) {
        this.lo = v1 ^ v3;
        v1 ^= 0xdd;
      }
      v0 = (v0 + v1) | 0;
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
      v0 = (v0 << 16) | (v0 >>> 16);
      v2 = (v2 + v3) | 0;
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
      v0 = (v0 + v3) | 0;
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
      v2 = (v2 + v1) | 0;
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
      v2 = (v2 << 16) | (v2 >>> 16);
    }
    this.hi = v1 ^ v3;
  }
}
