/** The heap of a thread that has just loaded all it needs: what loading left over is given back. */
import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { constants, createContext } from 'node:vm';

type Collect = (options: { type: 'major'; execution: 'sync'; flavor: 'last-resort' }) => void;

/** Bytes in use above which 3 MB do not matter, but the pause would. */
const MAX_USED = 32 * 1024 * 1024;

/**
 * Stops the thread for some 20 ms, so: once, before it serves. 3 MB a thread; V8 by itself would keep them, for an idle heap that does not
 * grow gives it no occasion. Nothing happens with more than `maxUsed` bytes in use, or where V8 does not offer its collector.
 */
export function shrinkHeap(maxUsed = MAX_USED): void {
  if (getHeapStatistics().used_heap_size > maxUsed) return;
  // Counts for contexts made from now on, so one is made. Left set: flags are the process's, another thread may be at this very line.
  setFlagsFromString('--expose-gc');
  const { gc } = createContext(constants.DONT_CONTEXTIFY) as { gc?: Collect };
  gc?.({ type: 'major', execution: 'sync', flavor: 'last-resort' });
}
