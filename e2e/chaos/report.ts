/** The fault table, for people and as JSON. */
import { type Column, figure, table } from '../bench/report.ts';
import type { Side } from './figures.ts';
import type { Outcome } from './run.ts';

const percent = (part: number) =>
  part === 0 ? '0 %' : `${part < 0.001 ? (part * 100).toFixed(2) : (part * 100).toFixed(1)} %`;
const ms = (value: number | null) => (value === null ? '-' : Math.round(value).toLocaleString('en'));

const columns: readonly Column<Outcome>[] = [
  { title: 'fault', cell: ({ fault }) => fault.name },
  { title: 'failed without', cell: ({ plain }) => percent(plain.failedShare) },
  { title: 'with', cell: ({ guarded }) => percent(guarded.failedShare) },
  { title: 'may', cell: ({ fault }) => percent(fault.failsAtMost) },
  { title: 'p99 ms without', cell: ({ plain }) => ms(plain.p99Ms) },
  { title: 'with', cell: ({ guarded }) => ms(guarded.p99Ms) },
  { title: 'got without', cell: ({ plain }) => percent(plain.faultyShare) },
  { title: 'with', cell: ({ guarded }) => percent(guarded.faultyShare) },
  { title: 'ejected ms', cell: ({ guarded }) => ms(guarded.ejectedAfterMs) },
  { title: 'by', cell: ({ guarded }) => guarded.ejectedBy || '-' },
  { title: 'readmitted ms', cell: ({ guarded }) => ms(guarded.readmittedAfterMs) },
  { title: 'sent ÷ received', cell: ({ guarded }) => figure(guarded.amplification) },
  { title: '', cell: ({ broken }) => (broken.length === 0 ? 'ok' : 'BROKEN') },
];

export const LEGEND =
  '  failed, p99: of the requests due while the fault lasts · may: with the policy, at most, until it is overcome\n' +
  '  got: share of what reached backends while it lasts that went to the faulty one\n' +
  '  ejected, readmitted: with the policy, after its start and after its end · sent ÷ received: with the policy';

export function faultTable(outcomes: readonly Outcome[]): string {
  return table(outcomes, columns);
}

/** What people saw, where anything failed. */
export function failureLines(outcomes: readonly Outcome[]): string[] {
  const seen = (side: Side) =>
    Object.entries(side.failures)
      .map(([outcome, count]) => `${outcome} × ${count}`)
      .join(', ') || 'nothing';
  return outcomes
    .filter(({ plain, guarded }) => plain.failed + guarded.failed > 0)
    .map(({ fault, plain, guarded }) => {
      const of = (side: Side) => `${seen(side)} of ${side.sent}`;
      return `  ${fault.name}: failed without ${of(plain)}; with ${of(guarded)}${fault.why === undefined ? '' : ` (${fault.why})`}`;
    });
}

export function toJson(outcomes: readonly Outcome[]): string {
  const entries = outcomes.map(({ fault, ...rest }) => ({
    fault: fault.name,
    failsAtMost: fault.failsAtMost,
    ...rest,
  }));
  return JSON.stringify(entries, undefined, 2);
}
