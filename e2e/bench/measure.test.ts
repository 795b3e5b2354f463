import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, test } from 'vitest';
import { cpuSeconds, median, paired, parseWrk, percentile, residentMiB } from './measure.ts';

const report = `Running 5s test @ http://127.0.0.1:8080/small
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     2.67ms    3.24ms  27.36ms   87.28%
    Req/Sec    28.22k     3.90k   37.05k    66.00%
  Latency Distribution
     50%    1.21ms
     75%    3.20ms
     90%  950.00us
     99%    1.02s
  140417 requests in 5.02s, 37.76MB read
Requests/sec:  27971.31
Transfer/sec:      7.52MB
`;

describe('parseWrk', () => {
  test('reads counts, rate and latencies in their units', () => {
    expect(parseWrk(report)).toEqual({
      requests: 140_417,
      requestsPerSecond: 27_971.31,
      p50Ms: 1.21,
      p99Ms: 1020,
      failures: 0,
    });
  });

  test('counts wrong statuses and socket errors as failures', () => {
    const bad = `${report}\n  Socket errors: connect 1, read 2, write 3, timeout 4\n  Non-2xx or 3xx responses: 5\n`;
    expect(parseWrk(bad).failures).toBe(15);
  });

  test('refuses a report that lacks a figure', () => {
    expect(() => parseWrk(report.replace('99%', '98%'))).toThrow(/99%/);
  });
});

describe('percentile', () => {
  test('interpolates between ranks', () => {
    expect(percentile([4, 1, 3, 2], 0.5)).toBe(2.5);
    expect(percentile([1, 2, 3, 4, 5], 0.99)).toBeCloseTo(4.96);
    expect(median([9, 1, 5])).toBe(5);
  });

  test('of nothing is not a number', () => {
    expect(percentile([], 0.5)).toBeNaN();
  });
});

test('a process is accounted with its children and all their threads', async () => {
  const burn = 'const end = process.cpuUsage().user + 300000; while (process.cpuUsage().user < end);';
  const code = `require('node:child_process').spawn(process.execPath, ['-e', ${JSON.stringify(`${burn} console.log('done'); setInterval(() => {}, 1000);`)}], { stdio: 'inherit' }); setInterval(() => {}, 1000);`;
  const parent = spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'pipe', 'inherit'], detached: true });
  const group = -(parent.pid ?? Number.NaN);
  try {
    await once(parent.stdout, 'data');
    expect(cpuSeconds(-group)).toBeGreaterThanOrEqual(0.29);
    expect(residentMiB(-group, 'VmHWM')).toBeGreaterThan(30);
  } finally {
    process.kill(group, 'SIGKILL');
  }
});

test('ratios are of the same turn', () => {
  expect(paired([2, 30, 8], [1, 10, 2])).toEqual({ ratio: 3, least: 2, most: 4 });
  expect(() => paired([1], [1, 2])).toThrow('1 turns beside 2');
});
