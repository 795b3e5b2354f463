/** What a worker asks the supervisor of the sessions that all workers share. */
import type { SessionTable } from './session-table.ts';

export type SessionQuestion =
  | { readonly op: 'get' | 'delete'; readonly id: string }
  | { readonly op: 'set'; readonly id: string; readonly value: string; readonly ttlMs: number }
  | { readonly op: 'claim'; readonly id: string; readonly ttlMs: number };

export type SessionAnswer = string | boolean | null;

export function answerQuestion(table: SessionTable, question: SessionQuestion): SessionAnswer {
  switch (question.op) {
    case 'get':
      return table.get(question.id);
    case 'set':
      table.set(question.id, question.value, question.ttlMs);
      return null;
    case 'delete':
      table.delete(question.id);
      return null;
    case 'claim':
      return table.claim(question.id, question.ttlMs);
  }
}
