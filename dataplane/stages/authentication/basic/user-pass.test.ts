import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readUserPass } from './user-pass.ts';

const encode = (text: string | Uint8Array) => Buffer.from(text as string).toString('base64');

test.each([
  ['Aladdin:open sesame', { user: 'Aladdin', password: 'open sesame' }],
  ['a:', { user: 'a', password: '' }],
  ['a:b:c', { user: 'a', password: 'b:c' }],
  ['test:123£', { user: 'test', password: '123£' }],
  ['jürgen:ü', { user: 'jürgen', password: 'ü' }],
  ['\u{1F600}:\u{1F511}', { user: '\u{1F600}', password: '\u{1F511}' }],
])('%s', (text, read) => {
  expect(readUserPass(encode(text))).toEqual(read);
});

test('the example of RFC 7617 section 2.1, and its form without padding', () => {
  expect(readUserPass('dGVzdDoxMjPCow==')).toEqual({ user: 'test', password: '123£' });
  expect(readUserPass('dGVzdDoxMjPCow')).toEqual({ user: 'test', password: '123£' });
});

test('composed and decomposed letters are the same', () => {
  expect(readUserPass(encode('u\u0308:e\u0301'))).toEqual(readUserPass(encode('\u00fc:\u00e9')));
});

test.each([
  ['', 'nothing'],
  ['!!!!', 'no base64'],
  ['YTpi YTpi', 'a space'],
  ['YTpi\tx', 'a tab'],
  ['YTpi=', 'padding where there is none'],
  ['A', 'one character'],
  [encode('nocolon'), 'no colon'],
  [encode(':password'), 'no user'],
  [encode('a\n:b'), 'a line break'],
  [encode('a:b\u0000'), 'a NUL'],
  [encode('a:b\u007f'), 'a DEL'],
  [encode(Uint8Array.of(0x61, 0x3a, 0xa3)), 'Latin-1'],
  [encode(Uint8Array.of(0x61, 0x3a, 0xc0, 0x80)), 'an overlong NUL'],
  [encode(`${'u'.repeat(254)}:p`), 'a long user'],
  [encode(`u:${'p'.repeat(1025)}`), 'a long password'],
])('%s (%s) is malformed', (text) => {
  expect(readUserPass(text)).toBeNull();
});

test('whatever comes, it throws nothing; what it reads is what was meant', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.base64String(), fc.uint8Array().map(encode)), (credential) => {
      const read = readUserPass(credential);
      if (read !== null) expect(/[\x00-\x1f\x7f:]/.test(read.user)).toBe(false);
    }),
  );
  const part = fc.string({ unit: 'grapheme', maxLength: 100 }).filter((text) => !/[\x00-\x1f\x7f]/.test(text));
  fc.assert(
    fc.property(part, part, (user, password) => {
      fc.pre(user !== '' && !user.includes(':') && user.normalize('NFC').length <= 253 && user.isWellFormed());
      fc.pre(password.isWellFormed());
      const read = readUserPass(encode(`${user}:${password}`));
      expect(read).toEqual({ user: user.normalize('NFC'), password: password.normalize('NFC') });
    }),
  );
});
