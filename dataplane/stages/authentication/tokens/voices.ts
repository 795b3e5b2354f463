/** What something shared by several stages can't do: said to each of them, also to those that come later. */
export type Say = (message: string | null) => void;

export class Voices {
  readonly #all = new Set<Say>();
  #message: string | null = null;

  /** Returns what takes it away again. */
  add(say: Say): () => void {
    this.#all.add(say);
    say(this.#message);
    return () => this.#all.delete(say);
  }

  /** Nothing is wrong, as far as was said. */
  get silent(): boolean {
    return this.#message === null;
  }

  say(message: string | null): void {
    if (message === this.#message) return;
    this.#message = message;
    for (const say of this.#all) say(message);
  }
}
