import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type VolumeFile, writeAtomically } from './atomic-files.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'tidegate-volume-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

const file = (text: string, mode = 0o644): VolumeFile => ({ content: Buffer.from(text), mode });
const read = (path: string) => readFileSync(join(directory, path), 'utf8');

test('files appear through ..data, with their modes, nested ones too', () => {
  writeAtomically(
    directory,
    new Map([
      ['a', file('1', 0o400)],
      ['deep/b', file('2')],
    ]),
  );
  expect(read('a')).toBe('1');
  expect(read('deep/b')).toBe('2');
  expect(read('..data/a')).toBe('1');
  expect(statSync(join(directory, 'a')).mode & 0o777).toBe(0o400);
});

test('an update replaces all, drops what is gone, and leaves one folder behind', () => {
  writeAtomically(
    directory,
    new Map([
      ['a', file('1')],
      ['gone', file('x')],
    ]),
  );
  writeAtomically(
    directory,
    new Map([
      ['a', file('2')],
      ['new', file('y')],
    ]),
  );
  expect(read('a')).toBe('2');
  expect(read('new')).toBe('y');
  expect(existsSync(join(directory, 'gone'))).toBe(false);
  expect(readdirSync(directory).filter((name) => name.startsWith('..2'))).toHaveLength(1);
});
