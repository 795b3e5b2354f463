import { expect, test } from 'vitest';
import { forwardingLog } from '../log.ts';
import { Notices } from './notices.ts';

test('so many lines a minute and no more; the next one says how many were withheld', () => {
  const lines: unknown[] = [];
  let nowMs = 0;
  const log = forwardingLog((_level, fields) => lines.push(fields));
  const notices = new Notices(log, () => nowMs);
  for (let i = 0; i < 25; i++) notices.write({ i }, 'a line');
  expect(lines).toHaveLength(20);
  nowMs = 60_000;
  notices.write({ i: 25 }, 'a line');
  notices.write({ i: 26 }, 'a line');
  expect(lines.slice(20)).toEqual([{ i: 25, withheld: 5 }, { i: 26 }]);
});
