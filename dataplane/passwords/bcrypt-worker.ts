/** The thread behind BcryptThread: one verification after the other. */
import { parentPort } from 'node:worker_threads';
import { compareSync } from 'bcryptjs';

parentPort?.on('message', ({ sequence, password, hash }: { sequence: number; password: string; hash: string }) => {
  parentPort?.postMessage({ sequence, right: compareSync(password, hash) });
});
