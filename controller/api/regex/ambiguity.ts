/**
 * How long a backtracking matcher can take over an automaton, from how ambiguous it is: two loops over one word through one state
 * (EDA) are exponential; a chain of states that can hand a repeated word on (IDA) is polynomial of the chain's length.
 *
 * Weber and Seidl, "On the degree of ambiguity of finite automata", 1991; Weideman et al., "Analyzing matching time behavior of
 * backtracking regular expression matchers by using ambiguity of NFA", 2016.
 */
import { type Automaton, TooComplexError } from './automaton.ts';

export type Growth =
  | { readonly kind: 'polynomial'; readonly degree: number }
  | { readonly kind: 'exponential' }
  /** Limited, but beyond reason: the number of ways to match some word. */
  | { readonly kind: 'many'; readonly ways: number };

/** Moves looked at before giving up: bounds the time, the same on every machine. */
const BUDGET = 200_000;

/** Throws TooComplexError when the budget does not suffice. */
export function growthOf(automaton: Automaton): Growth {
  const work = { left: BUDGET };
  const component = components(automaton);
  const loops = loopsOf(automaton, component);
  for (const states of loops.values()) {
    if (isExponential(automaton, states, work)) return { kind: 'exponential' };
  }
  const degree = 1 + longestChain(automaton, component, loops, work);
  const ways = finiteWays(automaton, component, loops);
  return ways > MAX_WAYS ? { kind: 'many', ways } : { kind: 'polynomial', degree };
}

const MAX_WAYS = 4096;

interface Work {
  left: number;
}

function spend(work: Work): void {
  if (--work.left < 0) throw new TooComplexError('is too complex to be checked');
}

/** Strongly connected components (Tarjan, 1972), numbered so that a component's number is above those it leads to. */
function components({ size, next }: Automaton): Int32Array {
  const component = new Int32Array(size).fill(-1);
  const index = new Int32Array(size).fill(-1);
  const low = new Int32Array(size);
  const stack: number[] = [];
  let counter = 0;
  let found = 0;
  const visit = (p: number): void => {
    index[p] = counter;
    low[p] = counter++;
    stack.push(p);
    for (const q of (next[p] as ReadonlyMap<number, number>).keys()) {
      if (index[q] === -1) {
        visit(q);
        low[p] = Math.min(low[p] as number, low[q] as number);
      } else if (component[q] === -1) {
        low[p] = Math.min(low[p] as number, index[q] as number);
      }
    }
    if (low[p] !== index[p]) return;
    for (let q = -1; q !== p; ) {
      q = stack.pop() as number;
      component[q] = found;
    }
    found++;
  };
  for (let p = 0; p < size; p++) if (index[p] === -1) visit(p);
  return component;
}

/** The components that can be stayed in. */
function loopsOf({ size, next }: Automaton, component: Int32Array): Map<number, number[]> {
  const members = new Map<number, number[]>();
  for (let p = 0; p < size; p++) {
    const id = component[p] as number;
    const list = members.get(id);
    if (list === undefined) members.set(id, [p]);
    else list.push(p);
  }
  for (const [id, [first, second]] of members) {
    if (second === undefined && next[first as number]?.has(first as number) !== true) members.delete(id);
  }
  return members;
}

/** Whether some word leads from a state back to itself in two ways. */
function isExponential(automaton: Automaton, states: readonly number[], work: Work): boolean {
  const { next, symbols, size } = automaton;
  const inside = new Set(states);
  for (const p of states) for (const [q, ways] of next[p] ?? []) if (ways > 1 && inside.has(q)) return true;
  const key = (p: number, q: number) => p * size + q;
  const seen = new Set(states.map((p) => key(p, p)));
  const queue = [...seen];
  const back = new Map<number, number[]>();
  for (let pair = queue.pop(); pair !== undefined; pair = queue.pop()) {
    for (const a of next[Math.floor(pair / size)]?.keys() ?? []) {
      if (!inside.has(a)) continue;
      for (const b of next[pair % size]?.keys() ?? []) {
        spend(work);
        if (!inside.has(b) || ((symbols[a] as bigint) & (symbols[b] as bigint)) === 0n) continue;
        const to = key(a, b);
        const from = back.get(to);
        if (from === undefined) back.set(to, [pair]);
        else from.push(pair);
        if (seen.has(to)) continue;
        seen.add(to);
        queue.push(to);
      }
    }
  }
  // Backwards from the diagonal: a pair of two states that both came from it and leads to it.
  const reaching = new Set(states.map((p) => key(p, p)));
  const rest = [...reaching];
  for (let pair = rest.pop(); pair !== undefined; pair = rest.pop()) {
    for (const from of back.get(pair) ?? []) {
      if (reaching.has(from)) continue;
      if (Math.floor(from / size) !== from % size) return true;
      reaching.add(from);
      rest.push(from);
    }
  }
  return false;
}

/** The most loops in a row each of which can hand a word it repeats to the next. */
function longestChain(
  automaton: Automaton,
  component: Int32Array,
  loops: ReadonlyMap<number, readonly number[]>,
  work: Work,
): number {
  const reach = reachability(automaton);
  // Tarjan numbers what is led to first.
  const ids = [...loops.keys()].sort((a, b) => a - b);
  const longest = new Map<number, number>();
  for (const id of ids) {
    let best = 0;
    for (const later of ids) {
      if (later >= id) break;
      const chain = 1 + (longest.get(later) ?? 0);
      const from = loops.get(id) as readonly number[];
      const to = loops.get(later) as readonly number[];
      if (
        chain > best &&
        reach[from[0] as number]?.has(to[0] as number) &&
        handsOn(automaton, component, reach, from, to, work)
      )
        best = chain;
    }
    longest.set(id, best);
  }
  return Math.max(0, ...longest.values());
}

/** Whether some word leads from p to p, from p to q and from q to q, for a p and a q of two loops. */
function handsOn(
  { next, symbols, size }: Automaton,
  component: Int32Array,
  reach: readonly ReadonlySet<number>[],
  from: readonly number[],
  to: readonly number[],
  work: Work,
): boolean {
  const fromId = component[from[0] as number];
  const toId = component[to[0] as number];
  const goal = to[0] as number;
  for (const p of from) {
    for (const q of to) {
      const start = [p, p, q] as const;
      const seen = new Set<number>([(p * size + p) * size + q]);
      const queue: (readonly [number, number, number])[] = [start];
      for (let at = queue.pop(); at !== undefined; at = queue.pop()) {
        for (const a of next[at[0]]?.keys() ?? []) {
          if (component[a] !== fromId) continue;
          for (const b of next[at[1]]?.keys() ?? []) {
            spend(work);
            const shared = (symbols[a] as bigint) & (symbols[b] as bigint);
            if (shared === 0n || (component[b] !== toId && reach[b]?.has(goal) !== true)) continue;
            for (const c of next[at[2]]?.keys() ?? []) {
              spend(work);
              if (component[c] !== toId || (shared & (symbols[c] as bigint)) === 0n) continue;
              if (a === p && b === q && c === q) return true;
              const key = (a * size + b) * size + c;
              if (seen.has(key)) continue;
              seen.add(key);
              queue.push([a, b, c]);
            }
          }
        }
      }
    }
  }
  return false;
}

function reachability({ size, next }: Automaton): ReadonlySet<number>[] {
  return Array.from({ length: size }, (_, p) => {
    const seen = new Set<number>();
    const queue = [p];
    for (let at = queue.pop(); at !== undefined; at = queue.pop()) {
      for (const q of next[at]?.keys() ?? []) {
        if (seen.has(q)) continue;
        seen.add(q);
        queue.push(q);
      }
    }
    return seen;
  });
}

/** An upper bound of the ways in which one word can be matched, loops aside: the choices along the worst path, multiplied. */
function finiteWays(automaton: Automaton, component: Int32Array, loops: ReadonlyMap<number, unknown>): number {
  const { size, next, symbols, classes } = automaton;
  const choices = new Map<number, number>();
  const below = new Map<number, Set<number>>();
  for (let p = 0; p < size; p++) {
    const id = component[p] as number;
    const counts = new Float64Array(classes);
    for (const [q, ways] of next[p] ?? []) {
      const to = component[q] as number;
      if (to === id && loops.has(id)) continue;
      const set = below.get(id) ?? new Set<number>();
      below.set(id, set.add(to));
      for (let s = 0; s < classes; s++)
        if (((symbols[q] as bigint) >> BigInt(s)) & 1n) counts[s] = (counts[s] as number) + ways;
    }
    choices.set(id, Math.max(choices.get(id) ?? 1, ...counts));
  }
  const worst = new Map<number, number>();
  for (const id of [...choices.keys()].sort((a, b) => a - b)) {
    const rest = [...(below.get(id) ?? [])].map((to) => worst.get(to) ?? 1);
    worst.set(id, (choices.get(id) ?? 1) * Math.max(1, ...rest));
  }
  return Math.max(1, ...worst.values());
}
