/** The sessions that all workers of this process share, and a line on which each worker asks for them. */
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { answerQuestion, type SessionQuestion } from '../store/sessions/messages.ts';
import { SessionTable } from '../store/sessions/session-table.ts';

export class SharedSessions {
  readonly #table = new SessionTable(() => performance.now());

  /** The end for one worker, to be handed over; ours closes with it. */
  line(): MessagePort {
    const { port1, port2 } = new MessageChannel();
    port1.on('message', ([sequence, question]: readonly [number, SessionQuestion]) => {
      port1.postMessage([sequence, answerQuestion(this.#table, question)]);
    });
    port1.unref();
    return port2;
  }
}
