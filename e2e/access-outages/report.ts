/** What happened in an outage, as a table for whoever reads the test's output. */
import { table } from '../bench/report.ts';
import type { Sample } from './load.ts';

interface Row {
  readonly phase: string;
  readonly name: string;
  readonly samples: readonly Sample[];
}

/** Prints requests, answers by status and the longest wait, for each phase and kind of request. */
export function printOutage(title: string, samples: readonly Sample[]): void {
  const rows = new Map<string, Row & { samples: Sample[] }>();
  for (const sample of samples) {
    const key = `${sample.phase}\0${sample.name}`;
    const row = rows.get(key) ?? { phase: sample.phase, name: sample.name, samples: [] };
    rows.set(key, row);
    row.samples.push(sample);
  }
  const text = table([...rows.values()] as Row[], [
    { title: 'while', cell: ({ phase }) => phase },
    { title: 'request', cell: ({ name }) => name },
    { title: 'sent', cell: (row) => String(row.samples.length) },
    { title: 'refused', cell: (row) => String(row.samples.filter(({ status }) => status !== 200).length) },
    { title: 'longest ms', cell: (row) => String(Math.ceil(Math.max(...row.samples.map(({ ms }) => ms)))) },
    { title: 'answers', cell: (row) => answers(row.samples) },
  ]);
  console.log(`\n${title}\n${text}`);
}

/** `200 × 12, 503 rate-limit-unavailable × 3`. */
function answers(samples: readonly Sample[]): string {
  const counts = new Map<string, number>();
  for (const { status, code } of samples) {
    const answer = `${status === 0 ? 'none' : status}${code === '' ? '' : ` ${code}`}`;
    counts.set(answer, (counts.get(answer) ?? 0) + 1);
  }
  return Array.from(counts, ([answer, count]) => `${answer} × ${count}`).join(', ');
}
