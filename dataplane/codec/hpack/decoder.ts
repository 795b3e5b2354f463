/** Header blocks into fields (RFC 7541), one decoder a connection. */
import { latin1 } from '../../io/latin1.ts';
import { HTAB, SP, TOKEN_LOWER, VALUE } from '../characters.ts';
import { decodeHuffman } from './huffman.ts';
import { STATIC_COUNT, STATIC_TABLE } from './static-table.ts';

/** Bytes the dynamic table may have: what SETTINGS_HEADER_TABLE_SIZE says when nothing is said. */
export const TABLE_BYTES = 4096;
/** What an entry counts beyond its text (RFC 7541 section 4.1). */
const ENTRY_OVERHEAD = 32;
/** The table holds no more entries than that; a power of two. */
const SLOTS = TABLE_BYTES / ENTRY_OVERHEAD;

const COLON = 58;
const UPPER_A = 65;
const UPPER_Z = 90;
/** A literal of a block of 128 KiB, the most that is taken of a backend, decoded: a byte makes 8 / 5 of one. */
const scratch: Uint8Array = new Uint8Array(208 * 1024);

/** What became of a block. */
export const BLOCK_OK = 0;
/** The connection can't go on: COMPRESSION_ERROR. */
export const BLOCK_BROKEN = 1;

export class HpackDecoder {
  /** Of the last block: name, value, … in their order, up to the limits. The array is the caller's. */
  fields: string[] = [];
  /** A name or value has a byte it may not have (RFC 9113 section 8.2.1). */
  malformed = false;
  /** More bytes (as SETTINGS_MAX_HEADER_LIST_SIZE counts) or fields than allowed; the rest was decoded and dropped. */
  tooLarge = false;
  private readonly names: string[] = [];
  private readonly values: string[] = [];
  private readonly sizes: number[] = [];
  private readonly bad: boolean[] = [];
  private newest = 0;
  private count = 0;
  private bytes = 0;
  private limit = TABLE_BYTES;
  // Of what is being read.
  private at = 0;
  private literalBad = false;

  /** Decodes a whole block. `listBytes`, `maxFields`: see `tooLarge`. */
  decode(block: Uint8Array, start: number, end: number, listBytes: number, maxFields: number): number {
    const fields: string[] = [];
    this.fields = fields;
    this.malformed = false;
    this.tooLarge = false;
    this.at = start;
    let size = 0;
    let updates = 0;
    while (this.at < end) {
      const byte = block[this.at] as number;
      let name: string;
      let value: string;
      let bad = false;
      if (byte >= 0x80) {
        const index = this.integer(block, end, 0x7f);
        if (index <= 0) return BLOCK_BROKEN;
        if (index <= STATIC_COUNT) {
          name = STATIC_TABLE[index * 2 - 2] as string;
          value = STATIC_TABLE[index * 2 - 1] as string;
        } else {
          const slot = this.slot(index);
          if (slot < 0) return BLOCK_BROKEN;
          name = this.names[slot] as string;
          value = this.values[slot] as string;
          bad = this.bad[slot] as boolean;
        }
      } else if (byte >= 0x40 || byte < 0x20) {
        const index = this.integer(block, end, byte >= 0x40 ? 0x3f : 0x0f);
        this.literalBad = false;
        if (index < 0) return BLOCK_BROKEN;
        if (index === 0) {
          const text = this.text(block, end, true);
          if (text === null) return BLOCK_BROKEN;
          name = text;
        } else if (index <= STATIC_COUNT) name = STATIC_TABLE[index * 2 - 2] as string;
        else {
          const slot = this.slot(index);
          if (slot < 0) return BLOCK_BROKEN;
          name = this.names[slot] as string;
          this.literalBad = this.bad[slot] as boolean;
        }
        const text = this.text(block, end, false);
        if (text === null) return BLOCK_BROKEN;
        value = text;
        bad = this.literalBad;
        if (byte >= 0x40) this.insert(name, value, bad);
      } else {
        // A change of the table's size may only stand at the beginning, and at most twice (RFC 7541 section 4.2).
        const limit = this.integer(block, end, 0x1f);
        if (limit < 0 || limit > TABLE_BYTES || size > 0 || ++updates > 2) return BLOCK_BROKEN;
        this.limit = limit;
        this.evict(0);
        continue;
      }
      if (bad) this.malformed = true;
      size += name.length + value.length + ENTRY_OVERHEAD;
      if (size > listBytes || fields.length >= maxFields * 2) this.tooLarge = true;
      else fields.push(name, value);
    }
    return BLOCK_OK;
  }

  /** RFC 7541 section 5.1; -1 where it does not end, or is beyond what is of use. */
  private integer(block: Uint8Array, end: number, mask: number): number {
    let value = (block[this.at++] as number) & mask;
    if (value < mask) return value;
    for (let shift = 0; shift <= 21; shift += 7) {
      if (this.at >= end) return -1;
      const byte = block[this.at++] as number;
      value += (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    return -1;
  }

  /** A string literal (RFC 7541 section 5.2), null where it is broken. */
  private text(block: Uint8Array, end: number, isName: boolean): string | null {
    if (this.at >= end) return null;
    const huffman = (block[this.at] as number) >= 0x80;
    const length = this.integer(block, end, 0x7f);
    if (length < 0 || length > end - this.at) return null;
    const from = this.at;
    this.at += length;
    if (!huffman) {
      if (!(isName ? goodName(block, from, from + length) : goodValue(block, from, from + length)))
        this.literalBad = true;
      return latin1(block, from, from + length);
    }
    const decoded = decodeHuffman(block, from, from + length, scratch);
    if (decoded < 0) return null;
    if (!(isName ? goodName(scratch, 0, decoded) : goodValue(scratch, 0, decoded))) this.literalBad = true;
    return latin1(scratchBuffer, 0, decoded);
  }

  private slot(index: number): number {
    const age = index - STATIC_COUNT - 1;
    if (age >= this.count) return -1;
    return (this.newest - age) & (SLOTS - 1);
  }

  private insert(name: string, value: string, bad: boolean): void {
    const size = name.length + value.length + ENTRY_OVERHEAD;
    this.evict(size);
    if (size > this.limit) return;
    const slot = (this.newest + 1) & (SLOTS - 1);
    this.newest = slot;
    this.names[slot] = name;
    this.values[slot] = value;
    this.sizes[slot] = size;
    this.bad[slot] = bad;
    this.count++;
    this.bytes += size;
  }

  /** Makes room for `size` bytes, or empties the table. */
  private evict(size: number): void {
    while (this.count > 0 && this.bytes + size > this.limit) {
      const oldest = (this.newest - this.count + 1) & (SLOTS - 1);
      this.bytes -= this.sizes[oldest] as number;
      this.names[oldest] = '';
      this.values[oldest] = '';
      this.count--;
    }
  }
}

const scratchBuffer: Buffer = Buffer.from(scratch.buffer);

/** A lower-case token, or a pseudo-field's name. */
function goodName(bytes: Uint8Array, from: number, end: number): boolean {
  let at = from;
  if (at < end && bytes[at] === COLON) at++;
  if (at === end) return false;
  for (; at < end; at++) {
    const byte = bytes[at] as number;
    if (TOKEN_LOWER[byte] === 0 || (byte >= UPPER_A && byte <= UPPER_Z)) return false;
  }
  return true;
}

function goodValue(bytes: Uint8Array, from: number, end: number): boolean {
  if (from === end) return true;
  const first = bytes[from] as number;
  const last = bytes[end - 1] as number;
  if (first === SP || first === HTAB || last === SP || last === HTAB) return false;
  for (let at = from; at < end; at++) if (VALUE[bytes[at] as number] === 0) return false;
  return true;
}
