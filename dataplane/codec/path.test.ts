import fc from 'fast-check';
import { expect, test } from 'vitest';
import { hostOf } from './authority.ts';
import { normalisePath } from './path.ts';

test.each([
  ['/', '/'],
  ['/a/./b', '/a/b'],
  ['/a/../b', '/b'],
  ['/a/b/..', '/a/'],
  ['/a/b/.', '/a/b/'],
  ['/a//b///', '/a/b/'],
  ['//a', '/a'],
  ['/a//../b', '/b'],
  ['/...', '/...'],
  ['/.a/..b', '/.a/..b'],
  ['/%61%2D%7e', '/a-~'],
  ['/%2e%2E/x', null],
  ['/a/%2e%2E/x', '/x'],
  ['/a%2fb', '/a%2Fb'],
  ['/a%2f..%2fb', null],
  ['/..%2fa', null],
  ['/a%5c..', null],
  ['/a%2F.;x', null],
  ['/.%2F', null],
  ['/a%2F...', '/a%2F...'],
  ['/a..%2F', '/a..%2F'],
  ['/a%5cb', '/a%5Cb'],
  ['/%252e', '/%252e'],
  ['/..', null],
  ['/a/../..', null],
  ['/a%00b', null],
  ['/a%', null],
  ['/a%4', null],
  ['/a%g0', null],
  ['/..;/a', null],
  ['/a/.;x', null],
  ['/a;x/..', '/'],
  ['a', null],
])('%s is %s', (raw, expected) => {
  expect(normalisePath(raw, true)).toBe(expected);
});

test('slashes can be kept', () => {
  expect(normalisePath('/a//b/', false)).toBe('/a//b/');
  expect(normalisePath('/a//../b', false)).toBe('/a/b');
});

test('normalising twice changes nothing, and no dot segment is left', () => {
  const raw = fc.array(fc.constantFrom('/', '.', '..', 'a', '%2e', '%2F', '%41', ';', '~'), { maxLength: 14 });
  fc.assert(
    fc.property(raw, fc.boolean(), (parts, merge) => {
      const once = normalisePath(`/${parts.join('')}`, merge);
      if (once === null) return;
      expect(normalisePath(once, merge)).toBe(once);
      expect(once.split('/')).not.toContain('.');
      expect(once.split('/')).not.toContain('..');
      if (merge) expect(once).not.toContain('//');
    }),
  );
});

test.each([
  ['Example.COM', 'example.com'],
  ['a.b.:80', 'a.b'],
  ['a:', 'a'],
  ['127.0.0.1:8080', '127.0.0.1'],
  ['[2001:DB8::1]:443', '[2001:db8::1]'],
  ['a_b-c', 'a_b-c'],
  ['', null],
  ['.', null],
  ['.a', null],
  ['a..b', null],
  ['a b', null],
  ['u@a', null],
  ['a:b', null],
  ['a:99999', null],
  ['a:1:2', null],
  ['::1', null],
  ['[::1', null],
  ['[zz]', null],
  ['a/b', null],
  ['ä', null],
])('host of %j is %j', (authority, expected) => {
  expect(hostOf(authority)).toBe(expected);
});
