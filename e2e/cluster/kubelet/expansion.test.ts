import { expect, test } from 'vitest';
import { expandReferences } from './expansion.ts';

// biome-ignore-start lint/suspicious/noTemplateCurlyInString: shell syntax that must stay as it is
test.each([
  ['$(NAME)', 'gateway'],
  ['--x=$(NAME):$(PORT)', '--x=gateway:80'],
  ['$$(NAME)', '$(NAME)'],
  ['$$$(NAME)', '$gateway'],
  ['$(MISSING)', '$(MISSING)'],
  ['$NAME ${NAME} $', '$NAME ${NAME} $'],
  ['$(toString)', '$(toString)'],
  // biome-ignore-end lint/suspicious/noTemplateCurlyInString: see above
])('%s becomes %s', (text, expected) => {
  expect(expandReferences(text, { NAME: 'gateway', PORT: '80' })).toBe(expected);
});
