import { afterAll, describe, expect, test } from 'vitest';
import { PasswordChecker } from './checker.ts';

/** Made by others: passlib, the reference implementation of argon2, crypt_blowfish. */
const FOREIGN = [
  ['password', '$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E'],
  ['password', '$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc'],
  ['U*U', '$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW'],
] as const;
const [, [, ARGON2] = ['', ''], [BLOWFISH_PASSWORD, BLOWFISH] = ['', '']] = FOREIGN;

const checkers: PasswordChecker[] = [];
afterAll(async () => {
  for (const checker of checkers) await checker.close();
});
function checkerWith(...args: ConstructorParameters<typeof PasswordChecker>): PasswordChecker {
  const checker = new PasswordChecker(...args);
  checkers.push(checker);
  return checker;
}

describe.each(FOREIGN)('%s against %s', (password, hash) => {
  const checker = checkerWith();
  const pair = { user: 'ada', hash };

  test('is right and remembered; another is wrong and is not', async () => {
    expect(checker.remembered('right')).toBeUndefined();
    expect(await checker.check('right', password, pair)).toBe('right');
    expect(checker.remembered('right')).toEqual(pair);
    expect(await checker.check('wrong', `${password}!`, pair)).toBe('wrong');
    expect(await checker.check('wrong', `${password}!`, pair)).toBe('wrong');
    expect(checker.remembered('wrong')).toBeUndefined();
  });
});

test('what was wrong for one hash is asked again for another', async () => {
  const checker = checkerWith();
  expect(await checker.check('c', BLOWFISH_PASSWORD, { user: 'ada', hash: ARGON2 })).toBe('wrong');
  expect(await checker.check('c', BLOWFISH_PASSWORD, { user: 'ada', hash: BLOWFISH })).toBe('right');
});

test('a right one is verified again after its time', async () => {
  let now = 0;
  const checker = checkerWith({ rememberMs: 1_000 }, () => now);
  const pair = { user: 'ada', hash: BLOWFISH };
  await checker.check('c', BLOWFISH_PASSWORD, pair);
  now = 999;
  expect(checker.remembered('c')).toEqual(pair);
  now = 1_000;
  expect(checker.remembered('c')).toBeUndefined();
});

test('one runs, so many wait, and more are told so at once; the same credential is verified once', async () => {
  const checker = checkerWith({ maxWaiting: 2 });
  const pair = { user: 'ada', hash: BLOWFISH };
  const asked = [1, 2, 3, 4, 5].map((i) => checker.check(`c${i}`, `guess ${i}`, pair));
  const same = checker.check('c1', 'guess 1', pair);
  expect(same).toBe(asked[0]);
  expect(await Promise.all(asked)).toEqual(['wrong', 'wrong', 'wrong', 'busy', 'busy']);
  expect(await checker.check('c5', 'guess 5', pair)).toBe('wrong');
});

test('nobody waits longer than told', async () => {
  const checker = checkerWith({ maxWaitMs: 1 });
  const [first, second] = [1, 2].map((i) => checker.check(`c${i}`, 'guess', { user: 'ada', hash: ARGON2 }));
  expect(await second).toBe('busy');
  expect(await first).toBe('wrong');
});

test('the pick for a user nobody knows is the same each time, and another in another process', () => {
  const users = Array.from({ length: 64 }, (_, i) => `user${i}`);
  const picks = (checker: PasswordChecker) => users.map((user) => checker.pick(user, 1_000));
  const checker = checkerWith();
  expect(picks(checker)).toEqual(picks(checker));
  expect(picks(checker)).not.toEqual(picks(checkerWith()));
});
