import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { NONCES_BYTES, SharedNonces } from './shared-nonces.ts';

const NOW = 1_700_000_000;
const hash = (text: string) => createHash('sha256').update(text).digest();
/** All of one place, each with a mark of its own. */
function crowd(i: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt32LE(131_072 * 3 + 131_071, 0);
  bytes.writeUInt32LE(i + 1, 4);
  return bytes;
}

test('a nonce is new once, for all who share the memory, until its time is over', () => {
  const memory = new SharedArrayBuffer(NONCES_BYTES);
  const [one, other] = [new SharedNonces(memory), new SharedNonces(memory)];
  expect(one.remember(hash('a'), NOW + 10, NOW)).toBe('new');
  expect(other.remember(hash('a'), NOW + 10, NOW)).toBe('seen');
  expect(one.remember(hash('b'), NOW + 10, NOW)).toBe('new');
  expect(one.remember(hash('a'), NOW + 30, NOW + 9)).toBe('seen');
  expect(other.remember(hash('a'), NOW + 30, NOW + 10)).toBe('new');
});

test('when there is no room, nothing that counts is forgotten, and room comes with time', () => {
  const nonces = new SharedNonces(new SharedArrayBuffer(NONCES_BYTES));
  for (let i = 0; i < 32; i++) expect(nonces.remember(crowd(i), NOW + 10 + i, NOW)).toBe('new');
  expect(nonces.remember(crowd(32), NOW + 10, NOW)).toBe('full');
  for (let i = 0; i < 32; i++) expect(nonces.remember(crowd(i), NOW + 10, NOW)).toBe('seen');
  expect(nonces.remember(crowd(32), NOW + 50, NOW + 10)).toBe('new');
  expect(nonces.remember(crowd(1), NOW + 50, NOW + 10)).toBe('seen');
  expect(nonces.remember(crowd(33), NOW + 50, NOW + 10)).toBe('full');
});

test('half full, all are told apart', () => {
  const nonces = new SharedNonces(new SharedArrayBuffer(NONCES_BYTES));
  for (let i = 0; i < 65_536; i++) expect(nonces.remember(hash(`n${i}`), NOW + 10, NOW)).toBe('new');
  for (let i = 0; i < 65_536; i += 97) expect(nonces.remember(hash(`n${i}`), NOW + 10, NOW)).toBe('seen');
});

test('workers that see the same nonces at the same time: one of them gets each', async () => {
  const memory = new SharedArrayBuffer(NONCES_BYTES);
  const gate = new SharedArrayBuffer(4);
  const code = `
    const { workerData, parentPort } = require('node:worker_threads');
    const { createHash } = require('node:crypto');
    import(workerData.module).then(({ SharedNonces }) => {
      const nonces = new SharedNonces(workerData.memory);
      const hashes = Array.from({ length: 20_000 }, (_, i) => createHash('sha256').update('n' + i).digest());
      Atomics.add(new Int32Array(workerData.gate), 0, 1);
      while (Atomics.load(new Int32Array(workerData.gate), 0) < 3);
      parentPort.postMessage(hashes.filter((hash) => nonces.remember(hash, 10, 5) === 'new').length);
    });`;
  const module = new URL('./shared-nonces.ts', import.meta.url).href;
  const counts = await Promise.all(
    [0, 1, 2].map(async () => {
      const worker = new Worker(code, { eval: true, workerData: { memory, gate, module } });
      const [count] = (await once(worker, 'message')) as [number];
      await worker.terminate();
      return count;
    }),
  );
  expect(counts.reduce((sum, count) => sum + count, 0)).toBe(20_000);
});
