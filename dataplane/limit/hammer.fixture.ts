/** A worker thread that asks one table as often as it can: see threads.test.ts. */
import { parentPort, workerData } from 'node:worker_threads';
import type { LimitMemory } from './memory.ts';
import { createMemoryStore } from './memory-store.ts';
import { type LimiterOptions, newDecision } from './store.ts';

export interface Hammer {
  readonly memory: LimitMemory;
  readonly worker: number;
  readonly options: LimiterOptions;
  readonly asks: number;
  /** Keys in turn. */
  readonly keys: number;
  /** All threads begin when this word is not 0. */
  readonly start: SharedArrayBuffer;
  /** Never stops, and takes and gives back in turn. */
  readonly endless: boolean;
}

const { memory, worker, options, asks, keys, start, endless } = workerData as Hammer;
const limiter = createMemoryStore({ memory, worker }).open(options);
const decision = newDecision();
let admitted = 0;
const ask = (i: number): void => {
  limiter.take(`key ${i % keys}`, 1, decision);
  if (decision.admitted) admitted++;
};
parentPort?.postMessage('ready');
Atomics.wait(new Int32Array(start), 0, 0);
if (endless) {
  for (let i = 0; ; i++) {
    ask(i);
    if (decision.admitted && i % 3 !== 0) limiter.giveBack(`key ${i % keys}`, 1);
  }
}
for (let i = 0; i < asks; i++) ask(i);
parentPort?.postMessage(admitted);
