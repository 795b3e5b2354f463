import { expect, test } from 'vitest';
import { figure, proxyColumns, type Result, table } from './report.ts';

test('a table lines its columns up and shows what was not measured as a dash', () => {
  const result: Result = {
    scenario: 'plain proxy, 113 B',
    proxy: 'nginx',
    cpuMicrosPerRequest: 11.84,
    requestsPerSecond: 31_234.5,
    p50Ms: 1.234,
    p99Ms: null,
    peakRssMiB: 123.4,
    ratioToNginx: 1,
  };
  expect(table([result], proxyColumns.slice(0, 7))).toBe(
    [
      '  proxy   µs CPU/request   × nginx   requests/s   p50 ms   p99 ms   peak MiB',
      '  nginx             11.8      1.00       31,235     1.23        -        123',
    ].join('\n'),
  );
});

test('figures keep three places', () => {
  expect([0.1234, 12.345, 123.45, 1234.5, Number.NaN].map(figure)).toEqual(['0.12', '12.3', '123', '1,235', '-']);
});
