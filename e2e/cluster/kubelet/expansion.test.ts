import { expect, test } from 'vitest';
import { expandReferences } from './expansion.ts';

test.each([
  ['$(NAME)', 'gateway'],
  ['--x=$(NAME):$(PORT)', '--x=gateway:80'],
  ['$$(NAME)', '$(NAME)'],
  ['$$$(NAME)', '$gateway'],
  ['$(MISSING)', '$(MISSING)'],
  ['$NAME ${NAME} $', '$NAME ${NAME} $'],
  ['$(toString)', '$(toString)'],
])('%s becomes %s', (text, expected) => {
  expect(expandReferences(text, { NAME: 'gateway', PORT: '80' })).toBe(expected);
});
