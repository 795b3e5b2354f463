import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Programs, processTree, untilReady } from './programs.ts';

let dir: string;
let programs: Programs;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'programs-'));
  programs = new Programs();
});
afterEach(async () => {
  await programs.stopAll();
  rmSync(dir, { recursive: true, force: true });
});

const start = (code: string, name = 'probe') =>
  programs.start(name, process.execPath, { args: ['-e', code], logFile: join(dir, `${name}.log`) });

test('stopAll ends every program and refuses new ones', async () => {
  const one = start('setInterval(() => {}, 1000)', 'one');
  const two = start('setInterval(() => {}, 1000)', 'two');
  await programs.stopAll();
  expect([one.ended(), two.ended()]).toEqual(['SIGTERM', 'SIGTERM']);
  expect(() => start('')).toThrow(/stopping/);
});

test('a program that dies before it is ready is reported with its last words', async () => {
  const program = start("console.error('port is taken'); process.exit(3)");
  await expect(untilReady(program, async () => false)).rejects.toThrow(/ended early \(exit code 3\)\nport is taken/);
});

test('a program that can not be started is reported', async () => {
  const program = programs.start('absent', join(dir, 'absent'), { args: [], logFile: join(dir, 'absent.log') });
  await expect(untilReady(program, async () => false)).rejects.toThrow(/ENOENT/);
});

test('pinned programs run on their core alone, under their own pid', async () => {
  const program = programs.start('pinned', process.execPath, {
    args: [
      '-e',
      "console.log(require('node:fs').readFileSync('/proc/self/status', 'utf8')); setInterval(() => {}, 1000)",
    ],
    core: 0,
    logFile: join(dir, 'pinned.log'),
  });
  const log = () => readFileSync(program.logFile, 'utf8');
  await untilReady(program, async () => log().includes('Cpus_allowed_list'));
  expect(/^Pid:\s+(\d+)/m.exec(log())?.[1]).toBe(String(program.pid));
  expect(/^Cpus_allowed_list:\s+(.*)$/m.exec(log())?.[1]).toBe('0');
  expect(processTree(program.pid)).toEqual([program.pid]);
});
