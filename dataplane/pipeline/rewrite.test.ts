import { expect, test } from 'vitest';
import { rewritePath } from './rewrite.ts';

// The table of Gateway API HTTPPathModifier.replacePrefixMatch, and what it leaves open. The router hands prefixes on trimmed.
test.each([
  ['/foo/bar', '/foo', '/xyz', '/xyz/bar'],
  ['/foo/bar', '/foo', '/xyz/', '/xyz/bar'],
  ['/foo', '/foo', '/xyz', '/xyz'],
  ['/foo/', '/foo', '/xyz', '/xyz/'],
  ['/foo/bar', '/foo', '', '/bar'],
  ['/foo/', '/foo', '', '/'],
  ['/foo', '/foo', '', '/'],
  ['/foo/', '/foo', '/', '/'],
  ['/foo', '/foo', '/', '/'],
  ['/foo', '', '/xyz', '/xyz/foo'],
  ['/', '', '/xyz', '/xyz/'],
  ['/foo', '/foo', '/xyz/', '/xyz/'],
  ['/foo/bar', '/foo', 'xyz', '/xyz/bar'],
])('%s with prefix %s replaced by "%s" becomes %s', (path, prefix, value, expected) => {
  expect(rewritePath({ kind: 'prefix', value }, path, prefix)).toBe(expected);
});

test('a full rewrite forgets the path', () => {
  expect(rewritePath({ kind: 'full', value: '/new' }, '/old/path', '/old')).toBe('/new');
  expect(rewritePath({ kind: 'full', value: '' }, '/old/path', '/old')).toBe('/');
});
