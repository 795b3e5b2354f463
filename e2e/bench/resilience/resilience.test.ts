import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { parsePicks } from '../scenarios/pick.ts';
import { parseKilledReport, writeKilledScript } from './killed-script.ts';

const dir = mkdtempSync(join(tmpdir(), 'tidegate-bench-test-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

test('a script waits before each request where it is told to, and never otherwise', () => {
  expect(readFileSync(writeKilledScript(dir, 'paced', 'x-marked', 4), 'utf8')).toContain(
    'function delay() return 4 end',
  );
  const full = readFileSync(writeKilledScript(dir, 'full', 'x-marked', 0), 'utf8');
  expect(full).toContain('headers["x-marked"]');
  expect(full).not.toContain('delay');
});

test('what a script printed is found among what wrk prints, and missed where it is not', () => {
  const line = 'killed-endpoint: {"statuses":{"503":5},"marked":1204,"lastFailureMs":1700000000123}';
  expect(parseKilledReport(`Running 2s test\n  100 requests in 2s\n${line}\n`)).toEqual({
    statuses: { '503': 5 },
    marked: 1204,
    lastFailureMs: 1_700_000_000_123,
  });
  expect(() => parseKilledReport('Running 2s test\n')).toThrow(/printed nothing:\nRunning/);
});

test("the lines of the data plane's own bench are read, and missed where there are none", () => {
  const text =
    'peakEwma, 8 equal          best     63 ns   median     64 ns      42 B\nupstream: pick: random, 8 best  41 ns   median 42 ns  -3 B';
  expect(parsePicks(text)).toEqual([
    { name: 'peakEwma, 8 equal', bestNs: 63, medianNs: 64, bytes: 42 },
    { name: 'upstream: pick: random, 8', bestNs: 41, medianNs: 42, bytes: -3 },
  ]);
  expect(() => parsePicks('')).toThrow(/no figures/);
});
