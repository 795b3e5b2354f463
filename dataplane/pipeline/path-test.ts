/** Whether a path is one of a policy's. Routes look theirs up in a trie (router/paths.ts); what matches is the same. */
import type { PathMatch } from '../snapshot/primitives.ts';

export type PathTest = (path: string) => boolean;

/** Throws SyntaxError for a regular expression that is none. */
export function compilePathTest({ kind, value }: PathMatch): PathTest {
  switch (kind) {
    case 'exact':
      return (path) => path === value;
    case 'prefix': {
      // Gateway API: by segment, and a trailing slash is ignored.
      const prefix = value.replace(/\/+$/, '');
      const { length } = prefix;
      return (path) => path.startsWith(prefix) && (path.length === length || path.charCodeAt(length) === SLASH);
    }
    case 'regex': {
      const regex = wholeRegex(value);
      return (path) => regex.test(path);
    }
  }
}

const SLASH = 0x2f;

/** A regular expression that must match the whole of a value. Throws SyntaxError. */
export function wholeRegex(source: string): RegExp {
  // Alone first: `a)|(?:b` would otherwise leave the group that anchors it.
  new RegExp(source);
  return new RegExp(`^(?:${source})$`);
}
