/**
 * What several stages of a worker hold under one key: made by the first, ended when the last lets go. A stage that takes another's place
 * is made before the other ends, so what is held outlives every change that leaves its key alone: verified tokens, keys, sessions.
 */
export interface Ending {
  close(): void;
}

export interface Hold<T> {
  readonly value: T;
  /** Once is enough; more often does no harm. */
  readonly release: () => void;
}

export class Shared<T extends Ending> {
  readonly #held = new Map<string, { readonly value: T; holders: number }>();

  get size(): number {
    return this.#held.size;
  }

  hold(key: string, make: () => T): Hold<T> {
    const held = this.#held.get(key) ?? { value: make(), holders: 0 };
    this.#held.set(key, held);
    held.holders++;
    let released = false;
    return {
      value: held.value,
      release: () => {
        if (released) return;
        released = true;
        held.holders--;
        if (held.holders > 0) return;
        this.#held.delete(key);
        held.value.close();
      },
    };
  }
}

/** One for each owner: a worker's services stand for the worker. */
export function sharedBy<T extends Ending>(): (owner: object) => Shared<T> {
  const all = new WeakMap<object, Shared<T>>();
  return (owner) => {
    const known = all.get(owner);
    if (known !== undefined) return known;
    const made = new Shared<T>();
    all.set(owner, made);
    return made;
  };
}
