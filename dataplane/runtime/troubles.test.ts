import { expect, test } from 'vitest';
import { Troubles } from './troubles.ts';

function listening() {
  const heard: string[][] = [];
  const troubles: Troubles = new Troubles(() =>
    heard.push(troubles.list().map(({ id, message }) => `${id}: ${message}`)),
  );
  return { troubles, heard };
}

test('what changes is told, each time with all that holds, sorted by policy', () => {
  const { troubles, heard } = listening();
  const b = troubles.voice('policy/b');
  const a = troubles.voice('policy/a');
  b.say('no keys');
  b.say('no keys');
  a.say('no Redis');
  b.say(null);
  a.say(null);
  a.say(null);
  expect(heard).toEqual([
    ['policy/b: no keys'],
    ['policy/a: no Redis', 'policy/b: no keys'],
    ['policy/a: no Redis'],
    [],
  ]);
});

test('a stage that is no longer in use takes its trouble along and is not heard again', () => {
  const { troubles, heard } = listening();
  const before = troubles.voice('policy/a');
  before.say('the old address does not answer');
  const after = troubles.voice('policy/a');
  after.say('the new one neither');
  expect(troubles.list()).toEqual([{ id: 'policy/a', message: 'the new one neither' }]);
  after.say(null);
  expect(troubles.list()).toEqual([{ id: 'policy/a', message: 'the old address does not answer' }]);
  before.end();
  before.say('still running');
  expect(troubles.list()).toEqual([]);
  expect(heard.at(-1)).toEqual([]);
});

test('one that never said anything ends without a word', () => {
  const { troubles, heard } = listening();
  troubles.voice('policy/a').end();
  expect(heard).toEqual([]);
});
