/** Gathers what the stages of one runtime say of their troubles. */
import type { Trouble } from '../telemetry/trouble.ts';

interface Voice {
  /** Null: all is well. */
  readonly say: (message: string | null) => void;
  /** The stage is no longer in use: nothing more is heard of it. */
  readonly end: () => void;
}

export class Troubles {
  readonly #said = new Map<object, Trouble>();
  readonly #onChange: () => void;

  constructor(onChange: () => void) {
    this.#onChange = onChange;
  }

  voice(id: string): Voice {
    const key = {};
    let ended = false;
    const say = (message: string | null): void => {
      if (ended || (this.#said.get(key)?.message ?? null) === message) return;
      if (message === null) this.#said.delete(key);
      else this.#said.set(key, { id, message });
      this.#onChange();
    };
    return {
      say,
      end: () => {
        say(null);
        ended = true;
      },
    };
  }

  /** By policy; of two stages of one policy (the one before still ends) the later. */
  list(): Trouble[] {
    const byId = new Map([...this.#said.values()].map((trouble) => [trouble.id, trouble]));
    return [...byId.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
  }
}
