/**
 * For tests, loaded before everything else (`--import`) in every thread: a worker throws when a file appears that is named
 * TEST_CRASH and its own index, and stops answering while one of TEST_HANG is there.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { isMainThread, workerData } from 'node:worker_threads';

const { TEST_CRASH, TEST_HANG } = process.env;
if (!isMainThread) {
  const { index } = workerData as { index: number };
  setInterval(() => {
    if (existsSync(`${TEST_CRASH}-${index}`)) throw new Error('crashed on purpose');
    const hang = `${TEST_HANG}-${index}`;
    if (existsSync(hang)) writeFileSync(`${hang}.begun`, '');
    while (existsSync(hang));
  }, 10);
}
