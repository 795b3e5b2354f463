/**
 * Parser for what RE2 and ECMAScript (without flags) mean alike: a pattern is checked as RE2 by the API server's CEL and run as
 * ECMAScript by the data plane, so whatever they read differently is refused.
 */

/** Symbols: code units 0 to 255, and 256 for all others. */
export const SYMBOLS = 257;

export type Node =
  | { readonly kind: 'empty' }
  /** One symbol of a set; `set[s]` is 1 for members. */
  | { readonly kind: 'set'; readonly set: Uint8Array }
  | { readonly kind: 'concat' | 'either'; readonly nodes: readonly Node[] }
  | { readonly kind: 'repeat'; readonly node: Node; readonly min: number; readonly max: number };

/** What is wrong with a pattern, for a person. */
export class RegexSyntaxError extends Error {}

const MAX_REPEAT = 1000;
const MAX_DEPTH = 50;

/** Throws RegexSyntaxError. The pattern must compile in ECMAScript; that is checked before. */
export function parseRegex(pattern: string): Node {
  const parser = new Parser(pattern);
  const node = parser.either(0, false);
  if (!parser.atEnd) throw new RegexSyntaxError('has a ) without (');
  return node;
}

class Parser {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  get atEnd(): boolean {
    return this.#at >= this.#text.length;
  }

  either(depth: number, ignoreCase: boolean): Node {
    if (depth > MAX_DEPTH) throw new RegexSyntaxError('nests too deeply');
    const nodes = [this.#concat(depth, ignoreCase)];
    while (this.#take('|')) nodes.push(this.#concat(depth, ignoreCase));
    return nodes.length === 1 ? (nodes[0] as Node) : { kind: 'either', nodes };
  }

  #concat(depth: number, ignoreCase: boolean): Node {
    const nodes: Node[] = [];
    while (!this.atEnd && this.#peek() !== '|' && this.#peek() !== ')') {
      nodes.push(this.#quantified(this.#atom(depth, ignoreCase)));
    }
    return nodes.length === 1 ? (nodes[0] as Node) : { kind: 'concat', nodes };
  }

  #quantified(node: Node): Node {
    const quantifier = /^(?:([*+?])|\{(\d+)(,)?(\d*)\})\??/.exec(this.#text.slice(this.#at, this.#at + 24));
    // `{,3}` and `{3,x` are literal in both; so is `{3 4}`.
    if (quantifier === null || (quantifier[2] !== undefined && quantifier[3] === undefined && quantifier[4] !== '')) {
      return node;
    }
    this.#at += quantifier[0].length;
    const [, sign, low, comma, high] = quantifier;
    const min = sign === undefined ? Number(low) : sign === '+' ? 1 : 0;
    const max =
      sign === undefined
        ? comma === undefined
          ? min
          : high === ''
            ? Number.POSITIVE_INFINITY
            : Number(high)
        : sign === '?'
          ? 1
          : Number.POSITIVE_INFINITY;
    if (min > MAX_REPEAT || (max > MAX_REPEAT && max !== Number.POSITIVE_INFINITY)) {
      throw new RegexSyntaxError(`repeats more than ${MAX_REPEAT} times`);
    }
    return { kind: 'repeat', node, min, max };
  }

  #atom(depth: number, ignoreCase: boolean): Node {
    const char = this.#next();
    switch (char) {
      case '(':
        return this.#group(depth, ignoreCase);
      case '[':
        return { kind: 'set', set: this.#class(ignoreCase) };
      case '.':
        return { kind: 'set', set: complement(members('\n\r')) };
      case '^':
      case '$':
        return { kind: 'empty' };
      case '\\': {
        const letter = this.#next();
        if (letter === 'b' || letter === 'B') return { kind: 'empty' };
        return { kind: 'set', set: folded(this.#escape(letter), ignoreCase) };
      }
      default:
        return { kind: 'set', set: folded(members(char), ignoreCase) };
    }
  }

  #group(depth: number, ignoreCase: boolean): Node {
    let inner = ignoreCase;
    if (this.#take('?')) {
      const kind = /^(?::|i:|<[A-Za-z_][A-Za-z0-9_]*>)/.exec(this.#text.slice(this.#at, this.#at + 80))?.[0];
      if (kind === undefined) throw new RegexSyntaxError('has a group other than (…), (?:…), (?i:…) and (?<name>…)');
      this.#at += kind.length;
      if (kind === 'i:') inner = true;
    }
    const node = this.either(depth + 1, inner);
    if (!this.#take(')')) throw new RegexSyntaxError('has a ( without )');
    return node;
  }

  #class(ignoreCase: boolean): Uint8Array {
    const negated = this.#take('^');
    if (this.#peek() === ']') throw new RegexSyntaxError('has an empty class []: write \\] for the bracket');
    const set = new Uint8Array(SYMBOLS);
    while (!this.#take(']')) {
      if (this.atEnd) throw new RegexSyntaxError('has a [ without ]');
      if (this.#text.startsWith('[:', this.#at))
        throw new RegexSyntaxError('has a class such as [:alpha:]: write a-zA-Z');
      const low = this.#member();
      // After \w and the like a - stands for itself.
      if (low.code === null || this.#peek() !== '-' || this.#text[this.#at + 1] === ']') {
        union(set, low.set);
        continue;
      }
      this.#at++;
      const high = this.#member();
      if (high.code === null) throw new RegexSyntaxError('has a range that ends in no character');
      for (let code = low.code; code <= high.code; code++) set[Math.min(code, SYMBOLS - 1)] = 1;
    }
    const all = folded(set, ignoreCase);
    return negated ? complement(all) : all;
  }

  /** One member of a class; `code` is null where it stands for several characters. */
  #member(): { readonly set: Uint8Array; readonly code: number | null } {
    const char = this.#next();
    if (char !== '\\') return { set: members(char), code: char.charCodeAt(0) };
    const set = this.#escape(this.#next());
    const code = set.indexOf(1);
    return { set, code: set.indexOf(1, code + 1) < 0 ? code : null };
  }

  #escape(letter: string): Uint8Array {
    const control = CONTROLS[letter];
    if (control !== undefined) return members(control);
    const shorthand = SHORTHANDS[letter];
    if (shorthand !== undefined) return shorthand;
    const upper = SHORTHANDS[letter.toLowerCase()];
    if (upper !== undefined) return complement(upper);
    if (letter === 'x') {
      const digits = this.#text.slice(this.#at, this.#at + 2);
      if (!/^[0-9A-Fa-f]{2}$/.test(digits)) throw new RegexSyntaxError('has \\x without two hexadecimal digits');
      this.#at += 2;
      return members(String.fromCharCode(Number.parseInt(digits, 16)));
    }
    if (!/[!-/:-@[-`{-~ ]/.test(letter)) {
      throw new RegexSyntaxError(`has \\${letter}, which RE2 and JavaScript do not read alike`);
    }
    return members(letter);
  }

  #peek(): string | undefined {
    return this.#text[this.#at];
  }

  #next(): string {
    return this.#text[this.#at++] ?? '';
  }

  #take(char: string): boolean {
    if (this.#text[this.#at] !== char) return false;
    this.#at++;
    return true;
  }
}

const CONTROLS: Readonly<Record<string, string>> = { t: '\t', n: '\n', r: '\r', f: '\f', v: '\v' };
const SHORTHANDS: Readonly<Record<string, Uint8Array>> = {
  d: ranges('09'),
  w: ranges('09AZaz__'),
  // RE2 has no \v and no Unicode spaces in it, ECMAScript does: a superset, which is on the safe side here.
  s: union(members('\t\n\v\f\r \xa0'), ranges('\u1680\u1680')),
};

function members(chars: string): Uint8Array {
  const set = new Uint8Array(SYMBOLS);
  for (let i = 0; i < chars.length; i++) set[Math.min(chars.charCodeAt(i), SYMBOLS - 1)] = 1;
  return set;
}

/** Pairs of first and last character. */
function ranges(pairs: string): Uint8Array {
  const set = new Uint8Array(SYMBOLS);
  for (let i = 0; i < pairs.length; i += 2) {
    for (let code = pairs.charCodeAt(i); code <= pairs.charCodeAt(i + 1); code++) set[Math.min(code, SYMBOLS - 1)] = 1;
  }
  return set;
}

function union(into: Uint8Array, from: Uint8Array): Uint8Array {
  for (let i = 0; i < SYMBOLS; i++) if (from[i] === 1) into[i] = 1;
  return into;
}

function complement(set: Uint8Array): Uint8Array {
  const out = set.map((member) => 1 - member);
  // The other symbols are many: when some are members, some may still not be.
  out[SYMBOLS - 1] = 1;
  return out;
}

function folded(set: Uint8Array, ignoreCase: boolean): Uint8Array {
  if (!ignoreCase) return set;
  const out = set.slice();
  for (let code = 65; code <= 90; code++) {
    if (set[code] === 1 || set[code + 32] === 1) {
      out[code] = 1;
      out[code + 32] = 1;
    }
  }
  return out;
}
