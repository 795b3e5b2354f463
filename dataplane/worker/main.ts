/** A worker thread: the gateway behind messages. */
import { flushCompileCache } from 'node:module';
import { parentPort, workerData } from 'node:worker_threads';
import { DataplaneError, messageOf } from '../errors.ts';
import { shrinkHeap } from '../heap.ts';
import { forwardingLog } from '../log.ts';
import { Gateway } from './gateway.ts';
import type { FromWorker, ToWorker, WorkerSetup } from './messages.ts';

const port = parentPort;
if (port === null) throw new Error('this is the entry of a worker thread');
const tell = (message: FromWorker): void => port.postMessage(message);
const gateway = new Gateway({
  setup: workerData as WorkerSetup,
  log: forwardingLog((level, fields, message) => tell({ type: 'log', level, fields, message })),
  onTroubles: (troubles) => tell({ type: 'troubles', troubles }),
  onBlocked: (backends) => tell({ type: 'blocked', backends }),
  onLines: (lines) => port.postMessage({ type: 'lines', lines } satisfies FromWorker, [lines.buffer]),
});

port.on('message', (message: ToWorker) => {
  if (message.type === 'spare') {
    gateway.giveBack(message.buffer);
    return;
  }
  if (message.type === 'reopen') {
    gateway.reopenLog();
    return;
  }
  if (message.type === 'views') {
    gateway.view(message.views);
    return;
  }
  const { sequence } = message;
  answer(message).then(
    (value) => tell({ type: 'answer', sequence, value }),
    (error) => {
      const code = error instanceof DataplaneError ? error.code : '';
      tell({ type: 'failure', sequence, message: messageOf(error), code });
    },
  );
});

async function answer(message: Exclude<ToWorker, { type: 'spare' | 'reopen' | 'views' }>): Promise<unknown> {
  switch (message.type) {
    case 'apply':
      return gateway.apply(message.changes);
    case 'listen':
      // All it needs is loaded now, and a worker is not asked before it is ended.
      setImmediate(flushCompileCache);
      shrinkHeap();
      return gateway.listen(message);
    case 'ping':
      return null;
    case 'count':
      return gateway.count();
    case 'describe':
      return gateway.describe();
    case 'endpoints':
      return gateway.endpoints();
    case 'explain':
      return gateway.explain(message.request);
    case 'drain':
      return gateway.drain(message.windowMs, message.deadlineMs);
  }
}
