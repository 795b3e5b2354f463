import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { LineFile } from './line-file.ts';

let folder: string;
let file: string;
let done: number[];
let errors: unknown[];
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'dp-'));
  file = path.join(folder, 'logs', 'access.log');
  mkdirSync(path.dirname(file));
  done = [];
  errors = [];
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function open(maxWaitingBytes = 1000): LineFile {
  return new LineFile({
    path: file,
    maxWaitingBytes,
    onDone: ({ byteLength }) => done.push(byteLength),
    onError: (error) => errors.push(error),
  });
}
const bytes = (text: string): Uint8Array<ArrayBuffer> => new Uint8Array(Buffer.from(text));
const read = (name = file): string => readFileSync(name, 'utf8');

test('pieces are appended in order, each given back, and all are there at the end', async () => {
  const lines = open();
  const other = open();
  for (const text of ['a\n', 'bb\n', 'ccc\n']) lines.write(bytes(text));
  await lines.end();
  expect(read()).toBe('a\nbb\nccc\n');
  expect(done).toEqual([2, 3, 4]);
  other.write(bytes('dddd\n'));
  await other.end();
  expect(read()).toBe('a\nbb\nccc\ndddd\n');
  expect(statSync(file).mode & 0o777).toBe(0o640 & ~process.umask());
  expect([lines.dropped, other.dropped, errors]).toEqual([0, 0, []]);
});

test('what comes while too much waits is dropped and counted', async () => {
  const lines = open(8);
  for (const text of ['12345\n', 'too much\n', '7\n', 'x\n']) lines.write(bytes(text));
  expect([lines.dropped, done]).toEqual([2, [9, 2]]);
  await lines.end();
  lines.write(bytes('then\n'));
  await lines.end();
  expect([read(), lines.dropped]).toEqual(['12345\n7\nthen\n', 2]);
});

test('opened anew, what was not begun goes to the new file; without one the old one goes on', async () => {
  const lines = open();
  lines.write(bytes('old\n'));
  renameSync(file, `${file}.1`);
  lines.reopen();
  lines.write(bytes('new\n'));
  await lines.end();
  expect([read(`${file}.1`), read()]).toEqual(['old\n', 'new\n']);

  const idle = open();
  renameSync(path.dirname(file), path.join(folder, 'moved'));
  idle.reopen();
  expect(errors).toHaveLength(1);
  idle.write(bytes('still\n'));
  await idle.end();
  expect(read(path.join(folder, 'moved', 'access.log'))).toBe('new\nstill\n');
});

test('a file that can not be opened costs its lines, is told once, and is tried again', async () => {
  rmSync(path.dirname(file), { recursive: true });
  const lines = open();
  lines.write(bytes('lost\n'));
  expect([errors.length, lines.dropped, done]).toEqual([1, 1, [5]]);
  mkdirSync(path.dirname(file));
  lines.write(bytes('there\n'));
  await lines.end();
  expect([existsSync(file) && read(), lines.dropped]).toEqual(['there\n', 1]);
});
