import { MessageChannel } from 'node:worker_threads';
import { afterEach, describe, expect, test } from 'vitest';
import { AskedSessions } from './asked-sessions.ts';
import { sessionStoreTests } from './conformance.ts';
import { answerQuestion, type SessionQuestion } from './messages.ts';
import { SessionTable } from './session-table.ts';

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

/** As between a worker and the supervisor. */
function asking(table: SessionTable): AskedSessions {
  const { port1, port2 } = new MessageChannel();
  port2.on('message', ([sequence, question]: [number, SessionQuestion]) => {
    port2.postMessage([sequence, answerQuestion(table, question)]);
  });
  cleanups.push(() => port1.close());
  return AskedSessions.over(port1);
}

describe('sessions of the supervisor', () => {
  sessionStoreTests(async () => {
    const table = new SessionTable(() => performance.now());
    return [asking(table), asking(table)];
  });

  test('a supervisor that does not answer is an error, after a while', async () => {
    const store = new AskedSessions(() => {});
    await expect(store.get('a')).rejects.toThrow('does not answer');
    store.answered(1, 'too late');
  });
});

test('the table is bounded: what was not asked for the longest goes', () => {
  const table = new SessionTable(() => 0, { maxEntries: 3, maxChars: 1_000 });
  for (const id of ['a', 'b', 'c']) table.set(id, id, 1_000);
  table.get('a');
  table.set('d', 'd', 1_000);
  expect(['a', 'b', 'c', 'd'].map((id) => table.get(id))).toEqual(['a', null, 'c', 'd']);
  table.set('e', 'x'.repeat(995), 1_000);
  expect([table.size, table.get('e')?.length]).toEqual([3, 995]);
  table.set('f', 'x'.repeat(2_000), 1_000);
  expect([table.size, table.get('f')]).toEqual([3, null]);
});
