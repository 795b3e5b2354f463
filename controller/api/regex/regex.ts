/** Whether a regular expression of a user may run on every request. Decided by counting, never by a clock: all replicas agree. */
import { type Growth, growthOf } from './ambiguity.ts';
import { buildAutomaton, TooComplexError } from './automaton.ts';
import { type Node, parseRegex, RegexSyntaxError } from './syntax.ts';

/** Quadratic time over a path of 8 KiB is some milliseconds; cubic is minutes. */
const MAX_DEGREE = 2;
const MAX_REMEMBERED = 10_000;

const remembered = new Map<string, string | null>();

/** What is wrong with a pattern that must match a whole value, or null. */
export function regexProblem(pattern: string): string | null {
  let problem = remembered.get(pattern);
  if (problem === undefined) {
    problem = examine(pattern);
    if (remembered.size >= MAX_REMEMBERED) remembered.clear();
    remembered.set(pattern, problem);
  }
  return problem;
}

function examine(pattern: string): string | null {
  try {
    // Alone first: `a)|(?:b` would otherwise leave the group that anchors it.
    new RegExp(pattern);
    new RegExp(`^(?:${pattern})$`);
  } catch (error) {
    const reason = (error as Error).message.replace(/^Invalid regular expression: \/.*\/[a-z]*: /s, '');
    return `must be a regular expression: ${reason.charAt(0).toLowerCase()}${reason.slice(1)}`;
  }
  let node: Node;
  try {
    node = parseRegex(pattern);
  } catch (error) {
    if (error instanceof RegexSyntaxError)
      return `must be a regular expression of RE2 and JavaScript alike: it ${error.message}`;
    throw error;
  }
  return explain(examineGrowth(node));
}

/** Copying short repetitions out is exact where it is small enough; else all count as unlimited. Either one vouches for a pattern. */
function examineGrowth(node: Node): Growth | string {
  let worst: Growth | string = '';
  for (const unroll of [8, 1]) {
    try {
      const growth = growthOf(buildAutomaton(node, unroll));
      if (growth.kind === 'polynomial' && growth.degree <= MAX_DEGREE) return growth;
      if (typeof worst === 'string') worst = growth;
    } catch (error) {
      if (!(error instanceof TooComplexError)) throw error;
      if (worst === '') worst = error.message;
    }
  }
  return worst;
}

function explain(growth: Growth | string): string | null {
  if (typeof growth === 'string') return `must be simpler: it ${growth}`;
  switch (growth.kind) {
    case 'exponential':
      return 'can take exponential time to match: it repeats something that can match the same text in several ways, such as (a+)+';
    case 'many':
      return `can match the same text in more than ${growth.ways > 1e6 ? 'a million' : growth.ways} ways: use fewer optional parts`;
    case 'polynomial':
      if (growth.degree <= MAX_DEGREE) return null;
      return `can take time to the power of ${growth.degree} in the length of the text: use fewer of .* and the like, or [^/]* for a path segment`;
  }
}
