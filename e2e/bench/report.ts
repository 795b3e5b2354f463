/** Figures as a table for people and as JSON for whoever compares runs. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

/** One line of `results.json`. Figures a scenario does not take are null. */
export interface Result {
  readonly scenario: string;
  readonly proxy: string;
  readonly cpuMicrosPerRequest: number | null;
  readonly requestsPerSecond: number | null;
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
  readonly peakRssMiB: number | null;
  /** CPU a request against nginx's in the same scenario and run. */
  readonly ratioToNginx: number | null;
  /** Figures only this scenario takes, by name with unit. */
  readonly extra?: Readonly<Record<string, number>>;
}

export interface Column<Row> {
  readonly title: string;
  readonly cell: (row: Row) => string;
}

/** Text to the left in the first column, figures to the right in the others. */
export function table<Row>(rows: readonly Row[], columns: readonly Column<Row>[]): string {
  const cells = [
    columns.map((column) => column.title),
    ...rows.map((row) => columns.map((column) => column.cell(row))),
  ];
  const widths = columns.map((_, index) => Math.max(...cells.map((line) => (line[index] ?? '').length)));
  return cells
    .map((line) =>
      line
        .map((cell, index) => (index === 0 ? cell.padEnd(widths[index] ?? 0) : cell.padStart(widths[index] ?? 0)))
        .join('   ')
        .trimEnd(),
    )
    .map((line) => `  ${line}`)
    .join('\n');
}

/** Three significant places, enough for what a run can tell apart. */
export function figure(value: number | null): string {
  if (value === null || Number.isNaN(value)) return '-';
  if (value >= 1000) return Math.round(value).toLocaleString('en');
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

export const proxyColumns: readonly Column<Result>[] = [
  { title: 'proxy', cell: (row) => row.proxy },
  { title: 'µs CPU/request', cell: (row) => figure(row.cpuMicrosPerRequest) },
  { title: '× nginx', cell: (row) => figure(row.ratioToNginx) },
  { title: 'requests/s', cell: (row) => figure(row.requestsPerSecond) },
  { title: 'p50 ms', cell: (row) => figure(row.p50Ms) },
  { title: 'p99 ms', cell: (row) => figure(row.p99Ms) },
  { title: 'peak MiB', cell: (row) => figure(row.peakRssMiB) },
  { title: 'core busy', cell: (row) => percent(row.extra?.coreShare) },
  { title: 'spread', cell: (row) => percent(row.extra?.cpuSpread) },
];

function percent(share: number | undefined): string {
  return share === undefined ? '-' : `${Math.round(share * 100)} %`;
}

export function writeResults(file: string, results: readonly Result[]): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify(results, undefined, 2)}\n`);
}
