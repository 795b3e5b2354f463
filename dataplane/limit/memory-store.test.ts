import { describeStore } from './conformance.fixture.ts';
import { createLimitMemory } from './memory.ts';
import { createMemoryStore } from './memory-store.ts';

const memory = createLimitMemory({ keys: 4096, workers: 2 });
let worker = 0;

describeStore('limits in memory, two workers in turn', () => createMemoryStore({ memory, worker: worker++ % 2 }));
