import { STATUS_CODES } from 'node:http';
import { expect, test } from 'vitest';
import { REASONS } from './reasons.ts';

test('the phrases are those of this Node', () => {
  expect(REASONS).toEqual(STATUS_CODES);
});
