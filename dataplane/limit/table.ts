/**
 * Where the state of limits is: a set-associative hash table in memory that all workers of a data plane share, of a fixed size, locked a set at
 * a time. Nothing is allocated for a key; a set that is full gives up a slot.
 *
 * An eviction nobody can use to reset a limit. A slot says when its key is fresh again (has no debt left); debts of all keys shrink by
 * 1 ms a ms. The slot with the least debt goes. The set remembers, for each class of windows, the latest time at which any key it
 * ever gave up would have been fresh: the watermark W. A key that is not in its set starts with the debt max(0, W − now), cut to the most its
 * limit can owe.
 *
 * Proof. Say key k of class c is evicted with fresh time f, and looked for again at t with no slot in between. From the eviction on,
 * W(c) ≥ f, since watermarks only grow and a key's class and set never change. Had k stayed, its debt at t would be max(0, f − t), at most the
 * most its limit can owe (what a response took beyond that is forgiven). It starts with the smaller of max(0, W(c) − t) ≥ max(0, f − t) and
 * that most: never with less than it had. This holds for every choice of the victim; taking the least debt keeps W low.
 *
 * So a flood of keys makes limits stricter, never laxer: new keys of the flooded sets, in the same decade of windows, may be refused
 * until W has passed, at most the longest window among them.
 */
import type { Counter } from '../telemetry/stage-counters.ts';
import {
  CLASS_MASK,
  CONCURRENCY_CLASS,
  FIRST,
  HIGH_WORDS,
  LOW_WORDS,
  SECOND,
  SET_BYTES,
  SET_NUMBERS,
  SET_WORDS,
  SLOT_NUMBERS,
  WATERMARK_NUMBERS,
  WAYS,
  WORKERS_A_SLOT,
} from './layout.ts';

/** A lock is held for some 50 ns; one that is not free after these tries has an owner that does not run. */
const SPINS = 200;
const NAP_MS = 0.05;
/** Naps before the lock of an owner that is gone is taken from it: a second or two. A dead one's is opened long before (`recover`). */
const NAPS = 20_000;

/** Place of the main thread, which only calls `recover`. */
export const SUPERVISOR = 65_535;

export class LimitTable {
  /** By the slot that `enter` gives: when it is fresh; at + FIRST and + SECOND what the algorithm keeps. */
  readonly numbers: Float64Array;
  /** Keys that were given up while they still owed: the table is small for its keys. */
  readonly #evictions: Counter;
  /** Locks that were taken from an owner that held them too long. */
  stolen = 0;
  readonly #words: Int32Array;
  readonly #counts: Uint16Array;
  readonly #mask: number;
  readonly #owner: number;
  #set = 0;

  /** `worker` from 0, or SUPERVISOR. */
  constructor(memory: SharedArrayBuffer, worker: number, evictions: Counter = { value: 0 }) {
    this.#evictions = evictions;
    this.numbers = new Float64Array(memory);
    this.#words = new Int32Array(memory);
    this.#counts = new Uint16Array(memory);
    this.#mask = memory.byteLength / SET_BYTES - 1;
    this.#owner = worker + 1;
  }

  /** Locks the key's set; the key's slot, or -1. Every `enter` is followed by a `leave` in the same turn. */
  enter(lo: number, hi: number): number {
    const set = lo & this.#mask;
    this.#set = set;
    this.#lock(set * SET_WORDS);
    return this.find(lo, hi);
  }

  leave(): void {
    // Not a plain store: it may have been taken from us.
    Atomics.compareExchange(this.#words, this.#set * SET_WORDS, this.#owner, 0);
  }

  /** Within enter and leave: the slot of a key of the same set, or -1. */
  find(lo: number, hi: number): number {
    const words = this.#words;
    const low = this.#set * SET_WORDS + LOW_WORDS;
    for (let way = 0; way < WAYS; way++) {
      if (words[low + way] === lo && words[low + way + (HIGH_WORDS - LOW_WORDS)] === hi) {
        return this.#set * SET_NUMBERS + SLOT_NUMBERS + way;
      }
    }
    return -1;
  }

  /** Within enter and leave: when a key that has no slot is to be taken for fresh; see the proof. */
  watermark(kind: number): number {
    return this.numbers[this.#set * SET_NUMBERS + WATERMARK_NUMBERS + kind] as number;
  }

  /**
   * Within enter and leave: a slot for a key that has none, its numbers 0; -1 where all are taken by requests in flight. The caller writes the
   * state before it leaves.
   */
  claim(lo: number, hi: number, nowMs: number): number {
    const numbers = this.numbers;
    const first = this.#set * SET_NUMBERS + SLOT_NUMBERS;
    let victim = first;
    let least = numbers[first] as number;
    for (let slot = first + 1; slot < first + WAYS; slot++) {
      const fresh = numbers[slot] as number;
      if (fresh < least) {
        least = fresh;
        victim = slot;
      }
    }
    if (least === Number.POSITIVE_INFINITY) return -1;
    const words = this.#words;
    const high = this.#set * SET_WORDS + HIGH_WORDS + (victim - first);
    const low = high - (HIGH_WORDS - LOW_WORDS);
    if (least > nowMs) {
      this.#evictions.value++;
      const mark = this.#set * SET_NUMBERS + WATERMARK_NUMBERS + ((words[high] as number) & CLASS_MASK);
      if (least > (numbers[mark] as number)) numbers[mark] = least;
    }
    // The order matters to a worker that dies in between: the slot is nobody's until it is whole.
    words[low] = 0;
    words[high] = 0;
    numbers[victim] = 0;
    numbers[victim + FIRST] = 0;
    numbers[victim + SECOND] = 0;
    words[high] = hi;
    words[low] = lo;
    return victim;
  }

  /** Within enter and leave. */
  free(slot: number): void {
    const way = slot - this.#set * SET_NUMBERS - SLOT_NUMBERS;
    const low = this.#set * SET_WORDS + LOW_WORDS + way;
    this.#words[low] = 0;
    this.#words[low + (HIGH_WORDS - LOW_WORDS)] = 0;
    this.numbers[slot] = 0;
  }

  /** Requests in flight by the workers of a concurrency slot; `of` is a worker's place among them. */
  count(slot: number, of: number): number {
    return this.#counts[countAt(slot, of)] as number;
  }

  add(slot: number, of: number, change: number): void {
    (this.#counts[countAt(slot, of)] as number) += change;
  }

  /** Whether no worker of the slot has anything in flight. */
  idle(slot: number): boolean {
    for (let of = 0; of < WORKERS_A_SLOT; of++) if (this.count(slot, of) !== 0) return false;
    return true;
  }

  /**
   * A worker has ended, perhaps while it held a lock and with requests in flight: its locks are opened, its counts taken back. Only once it no
   * longer runs. Reads the whole table.
   */
  recover(worker: number): void {
    const words = this.#words;
    const group = CONCURRENCY_CLASS + Math.floor(worker / WORKERS_A_SLOT);
    const place = worker % WORKERS_A_SLOT;
    for (let set = 0; set <= this.#mask; set++) {
      const at = set * SET_WORDS;
      Atomics.compareExchange(words, at, worker + 1, 0);
      for (let way = 0; way < WAYS; way++) {
        if (((words[at + HIGH_WORDS + way] as number) & CLASS_MASK) === group) this.#takeBack(set, way, group, place);
      }
    }
  }

  #takeBack(set: number, way: number, group: number, place: number): void {
    this.#set = set;
    this.#lock(set * SET_WORDS);
    const slot = set * SET_NUMBERS + SLOT_NUMBERS + way;
    if (((this.#words[set * SET_WORDS + HIGH_WORDS + way] as number) & CLASS_MASK) === group) {
      this.#counts[countAt(slot, place)] = 0;
      if (this.idle(slot)) this.free(slot);
    }
    this.leave();
  }

  #lock(at: number): void {
    if (Atomics.compareExchange(this.#words, at, 0, this.#owner) !== 0) this.#wait(at);
  }

  #wait(at: number): void {
    const words = this.#words;
    for (let tries = 0; tries < SPINS; tries++) {
      if (Atomics.load(words, at) === 0 && Atomics.compareExchange(words, at, 0, this.#owner) === 0) return;
      pause();
    }
    for (let naps = 0; ; naps++) {
      const holder = Atomics.compareExchange(words, at, 0, this.#owner);
      if (holder === 0) return;
      if (naps >= NAPS && Atomics.compareExchange(words, at, holder, this.#owner) === holder) {
        this.stolen++;
        return;
      }
      // Nobody wakes us: that would cost every unlock a system call.
      Atomics.wait(words, at, holder, NAP_MS);
    }
  }
}

/** Node 24 has none. */
const { pause = () => {} } = Atomics as { pause?: () => void };

/** Four counts lie in each of the slot's two numbers. */
function countAt(slot: number, of: number): number {
  return (slot + (of >> 2 === 0 ? FIRST : SECOND)) * 4 + (of & 3);
}
