/**
 * A pattern as an automaton without empty moves (Glushkov, "The abstract theory of automata", 1961), which also counts in how many
 * ways a backtracking matcher can make the same move: `(a*)*` has two ways from an `a` to the next.
 */
import { type Node, SYMBOLS } from './syntax.ts';

export interface Automaton {
  /** Number of states; 0 is the start, each other one is a character of the pattern. */
  readonly size: number;
  /** By state: the classes of symbols that lead into it, as bits. */
  readonly symbols: readonly bigint[];
  /** Number of classes: symbols that no set of the pattern tells apart are one. */
  readonly classes: number;
  /** By state: where it leads, with the number of ways. */
  readonly next: readonly ReadonlyMap<number, number>[];
}

/** The pattern is larger than what is looked at, or repeats what may be empty too often. */
export class TooComplexError extends Error {}

const MAX_STATES = 600;
/** Ways are counted up to here. */
const MANY = 1e6;

interface Part {
  /** Ways to match nothing. */
  readonly nullable: number;
  readonly first: ReadonlyMap<number, number>;
  readonly last: ReadonlyMap<number, number>;
}

/**
 * Repetitions up to `unroll` times are copied out; more count as unlimited, which can only add ways to match. Throws TooComplexError.
 */
export function buildAutomaton(root: Node, unroll: number): Automaton {
  const sets: Uint8Array[] = [new Uint8Array(SYMBOLS)];
  const next: Map<number, number>[] = [new Map()];

  const connect = (from: ReadonlyMap<number, number>, to: ReadonlyMap<number, number>) => {
    for (const [p, ways] of from) {
      const moves = next[p] as Map<number, number>;
      for (const [q, more] of to) moves.set(q, Math.min(MANY, (moves.get(q) ?? 0) + ways * more));
    }
  };
  const concat = (a: Part, b: Part): Part => {
    connect(a.last, b.first);
    return {
      nullable: Math.min(MANY, a.nullable * b.nullable),
      first: sum(a.first, b.first, a.nullable),
      last: sum(b.last, a.last, b.nullable),
    };
  };
  const build = (node: Node): Part => {
    switch (node.kind) {
      case 'empty':
        return NOTHING;
      case 'set': {
        const state = sets.push(node.set) - 1;
        if (state > MAX_STATES) throw new TooComplexError('is too large');
        next.push(new Map());
        const only = new Map([[state, 1]]);
        return { nullable: 0, first: only, last: only };
      }
      case 'concat':
        return node.nodes.map(build).reduce(concat, NOTHING);
      case 'either': {
        const parts = node.nodes.map(build);
        return parts.reduce((a, b) => ({
          nullable: Math.min(MANY, a.nullable + b.nullable),
          first: sum(a.first, b.first, 1),
          last: sum(a.last, b.last, 1),
        }));
      }
      case 'repeat':
        return repeat(node.node, node.min, node.max);
    }
  };
  const star = (part: Part): Part => {
    connect(part.last, part.first);
    // An iteration that matches nothing ends the loop (ECMA-262, RepeatMatcher).
    return { ...part, nullable: 1 };
  };
  const optional = (node: Node): Part => {
    const part = build(node);
    return { ...part, nullable: 1 + part.nullable };
  };
  const repeat = (node: Node, min: number, max: number): Part => {
    const copies = max === Number.POSITIVE_INFINITY ? min : max;
    if (copies > unroll) {
      const part = build(node);
      if (part.nullable > 0) throw new TooComplexError('repeats a given number of times what may be empty');
      return star(part);
    }
    let part = NOTHING;
    for (let i = 0; i < min; i++) part = concat(part, build(node));
    if (max === Number.POSITIVE_INFINITY) return concat(part, star(build(node)));
    for (let i = min; i < max; i++) part = concat(part, optional(node));
    return part;
  };

  connect(new Map([[0, 1]]), build(root).first);
  const { symbols, classes } = classify(sets);
  return { size: sets.length, symbols, classes, next };
}

const NOTHING: Part = { nullable: 1, first: new Map(), last: new Map() };

function sum(a: ReadonlyMap<number, number>, b: ReadonlyMap<number, number>, factor: number): Map<number, number> {
  const out = new Map(a);
  if (factor > 0) for (const [state, ways] of b) out.set(state, Math.min(MANY, (out.get(state) ?? 0) + ways * factor));
  return out;
}

/** Joins symbols that every set either has or has not together. */
function classify(sets: readonly Uint8Array[]): { symbols: bigint[]; classes: number } {
  const ids = new Map<string, number>();
  const classOf = Array.from({ length: SYMBOLS }, (_, symbol) => {
    const signature = sets.map((set) => set[symbol]).join('');
    const id = ids.get(signature) ?? ids.size;
    ids.set(signature, id);
    return id;
  });
  const symbols = sets.map((set) =>
    classOf.reduce((bits, id, symbol) => (set[symbol] === 1 ? bits | (1n << BigInt(id)) : bits), 0n),
  );
  return { symbols, classes: ids.size };
}
