/**
 * Copy on write for one step from a router to the next: a node made during the edit is changed in place, an older one is
 * cloned first. When the edit is dropped nothing knows any more which nodes were its own, so they stay as they are.
 */
export class Edit {
  readonly #fresh = new Set<object>();

  /** How many nodes (host tables, buckets, path tables, trie nodes, candidate lists) were made by this edit. */
  get made(): number {
    return this.#fresh.size;
  }

  /** Marks a node as made by this edit. */
  make<N extends object>(node: N): N {
    this.#fresh.add(node);
    return node;
  }

  /** The node itself when it is this edit's own, else a clone that is. */
  own<N extends object>(node: N, clone: (node: N) => N): N {
    return this.#fresh.has(node) ? node : this.make(clone(node));
  }
}
