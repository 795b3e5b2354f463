/** Where keys come from, as whoever verifies sees it. */
import type { KeySet } from './key-set.ts';

export interface KeySource {
  /** Null: there are none yet, or they got too old. */
  current(): KeySet | null;
  /** Those of the first fetch, where it is still under way; else as `current`. Bounded by the fetch's time-out. */
  first(): Promise<KeySet | null>;
  /** What a fetch brings, where it is allowed now; else as `current`. Bounded likewise. */
  again(): Promise<KeySet | null>;
  /** Called with every set that differs from the one before. Returns what takes the listener away. */
  onChange(listener: (keys: KeySet) => void): () => void;
}

/** Keys of the configuration. */
export function fixedKeys(keys: KeySet): KeySource {
  const same = Promise.resolve(keys);
  return { current: () => keys, first: () => same, again: () => same, onChange: () => () => {} };
}
