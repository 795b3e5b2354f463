import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { regexProblem } from './regex.ts';
import { type Node, parseRegex } from './syntax.ts';

describe('patterns of the sort people write are taken', () => {
  test.each([
    '/v[0-9]+/orders/[0-9]+',
    '/[^/]+/[^/]+/[^/]+/[^/]+/[^/]+/[^/]+',
    '(/[^/]+)*',
    '([^/]*/)*[^/]*\\.html',
    '[a-z]+(-[a-z]+)*',
    '[a-z0-9-]{1,63}(\\.[a-z0-9-]{1,63})*',
    '/api/(v1|v2)/.*\\.(jpg|png|gif)',
    '/a/.*/b/.*',
    '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}',
    '(([0-9]{1,3})\\.){3}[0-9]{1,3}',
    '\\d{1,4}-?\\d{1,2}-?\\d{1,2}',
    'Mozilla/5\\.0.*(Chrome|Safari)/[0-9]+.*',
    '(?i:/foo/)[0-9]+',
    '(?<id>[0-9]+)',
    'a{1000}b',
    'x{,3}',
    '[\\]a-]+',
    '\\x2f\\w+\\s\\S*?',
    '[\\w-.]+@[\\w.-]+',
  ])('%s', (pattern) => expect(regexProblem(pattern)).toBeNull());
});

describe('patterns that blow up are refused', () => {
  test.each([
    ['(a+)+', 'exponential'],
    ['(a|a)*', 'exponential'],
    ['(a|b|ab)*', 'exponential'],
    ['(a*)*', 'exponential'],
    ['([a-z]+[0-9]*)*x', 'exponential'],
    ['(.*/)*(.*)x', 'exponential'],
    ['(x+x+)+y', 'exponential'],
    ['(.{1,50},){20}', 'exponential'],
    ['(([a-z])+.)+[A-Z]([a-z])+$', 'exponential'],
    ['.*foo.*bar.*', 'to the power of 3'],
    ['.*.*.*=', 'to the power of 3'],
    ['(a?){50}a{50}', 'must be simpler'],
    ['((a{0,9}){0,9}){0,9}', 'must be simpler'],
    ['a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?aaaaaaaaaaaaaaa', 'in more than'],
  ])('%s: %s', (pattern, says) => expect(regexProblem(pattern)).toContain(says));
});

describe('patterns that RE2 and JavaScript do not read alike are refused', () => {
  test.each([
    ['(a', 'unterminated group'],
    ['a)|(?:b', 'unmatched'],
    ['[', 'unterminated character class'],
    ['*a', 'nothing to repeat'],
    ['(?=a)b', 'a group other than'],
    ['(a)\\1', '\\1'],
    ['\\p{L}', '\\p'],
    ['\\Qa', '\\Q'],
    ['[[:alpha:]]', '[:alpha:]'],
    ['[]a]', 'empty class'],
    ['[^]', 'empty class'],
    ['[a-\\d]', 'ends in no character'],
    ['\\é', '\\é'],
    ['a{1001}', 'more than 1000'],
    [`${'('.repeat(60)}a${')'.repeat(60)}`, 'too deeply'],
    ['a'.repeat(700), 'too large'],
  ])('%s', (pattern, says) => expect(regexProblem(pattern)).toContain(says));
});

test('what is taken matches in reasonable time: property, counted in steps of a backtracking matcher', () => {
  const pattern = fc.letrec<{ p: string }>((tie) => ({
    p: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      fc.constantFrom('a', 'b', '[ab]', '.'),
      fc.tuple(tie('p'), tie('p')).map(([x, y]) => x + y),
      fc.tuple(tie('p'), tie('p')).map(([x, y]) => `(?:${x}|${y})`),
      fc
        .tuple(tie('p'), fc.constantFrom('*', '+', '?', '{0,3}', '{2,}', '{3}', '{1,20}'))
        .map(([x, q]) => `(?:${x})${q}`),
    ),
  })).p;
  const pump = fc.string({ unit: fc.constantFrom('a', 'b'), minLength: 1, maxLength: 4 });
  let taken = 0;
  fc.assert(
    fc.property(pattern, pump, pump, (source, prefix, pumped) => {
      if (regexProblem(source) !== null) return;
      taken++;
      const text = `${prefix}${pumped.repeat(Math.ceil(60 / pumped.length))}!`;
      expect(steps(parseRegex(source), text, 400_000), `${source} on ${text}`).toBeLessThan(400_000);
    }),
    { numRuns: 3_000, seed: 7 },
  );
  expect(taken).toBeGreaterThan(500);
});

test('the step counter of the property above does see an explosion', () => {
  expect(steps(parseRegex('(?:a+)+'), `${'a'.repeat(40)}!`, 400_000)).toBe(400_000);
});

/** Steps of a naive backtracking matcher that tries to match all of `text`, at most `limit`. */
function steps(root: Node, text: string, limit: number): number {
  let count = 0;
  type Then = (at: number) => boolean;
  const match = (node: Node, at: number, then: Then): boolean => {
    if (++count >= limit) return true;
    switch (node.kind) {
      case 'empty':
        return then(at);
      case 'set':
        return at < text.length && node.set[text.charCodeAt(at)] === 1 && then(at + 1);
      case 'concat': {
        const from = (index: number, place: number): boolean => {
          const part = node.nodes[index];
          return part === undefined ? then(place) : match(part, place, (next) => from(index + 1, next));
        };
        return from(0, at);
      }
      case 'either':
        return node.nodes.some((part) => match(part, at, then));
      case 'repeat': {
        const loop = (done: number, place: number): boolean => {
          if (++count >= limit) return true;
          if (
            done < node.max &&
            match(node.node, place, (next) => (next === place && done >= node.min ? false : loop(done + 1, next)))
          )
            return true;
          return done >= node.min && then(place);
        };
        return loop(0, at);
      }
    }
  };
  match(root, 0, (at) => at === text.length);
  return count;
}
