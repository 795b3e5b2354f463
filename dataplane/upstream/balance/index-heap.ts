/** A binary heap of indexes, the one with the lowest key first, of equal ones the lowest index. A key may change while its index is out. */
export class IndexHeap {
  size = 0;
  readonly #keys: Float64Array;
  readonly #heap: Int32Array;

  /** `keys[i]` is the key of index i. */
  constructor(keys: Float64Array) {
    this.#keys = keys;
    this.#heap = new Int32Array(keys.length);
  }

  /** The lowest key; Infinity where it is empty. */
  get first(): number {
    return this.size === 0 ? Infinity : (this.#keys[this.#heap[0] as number] as number);
  }

  clear(): void {
    this.size = 0;
  }

  push(index: number): void {
    const heap = this.#heap;
    let at = this.size++;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent] as number;
      if (this.#before(above, index)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = index;
  }

  /** Only where it is not empty. */
  pop(): number {
    const heap = this.#heap;
    const top = heap[0] as number;
    const size = --this.size;
    const moved = heap[size] as number;
    let at = 0;
    for (let child = 1; child < size; child = 2 * at + 1) {
      if (child + 1 < size && this.#before(heap[child + 1] as number, heap[child] as number)) child++;
      const below = heap[child] as number;
      if (this.#before(moved, below)) break;
      heap[at] = below;
      at = child;
    }
    heap[at] = moved;
    return top;
  }

  #before(a: number, b: number): boolean {
    const difference = (this.#keys[a] as number) - (this.#keys[b] as number);
    return difference < 0 || (difference === 0 && a < b);
  }
}
