/**
 * 32-bit hashes that are the same in every worker and data plane, so that all place a key alike: FNV-1a over UTF-16 units, then the
 * finalizer of MurmurHash3. Not for secrets, and not seeded at random.
 */

/** uint32. Different seeds give unrelated hashes. */
export function hashText(text: string, seed = 0): number {
  let hash = 0x811c9dc5 ^ seed;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return mix(hash ^ text.length);
}

/** uint32; one to one. */
export function mix(value: number): number {
  let mixed = value | 0;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
