/** Renders the status document for a terminal, one line a program. Pure. */
import type { Status } from '../admin/status.ts';

export function renderStatus(status: Status): string {
  const rows: string[][] = [];
  for (const [i, c] of status.controllers.entries()) {
    rows.push([
      i === 0 ? 'controller' : '',
      c.replica,
      c.leader ? 'leader' : '',
      `revision ${short(c.revision)}`,
      `${c.objects.toLocaleString('en')} objects`,
      `compile ${c.compileMs.toFixed(1)} ms`,
    ]);
  }
  if (status.dataPlanes.length === 0) rows.push(['data plane', 'none connected']);
  const notes: string[] = [];
  for (const [i, d] of status.dataPlanes.entries()) {
    const label = i === 0 ? 'data plane' : '';
    const load = d.load;
    rows.push([
      label,
      d.node,
      state(d),
      short(d.revision),
      load === null ? '' : `${Math.round(load.requestsPerSecond)} rps`,
      load === null ? '' : `${load.inFlight} in flight`,
      load === null ? '' : `p99 ${load.p99Ms.toFixed(1)} ms`,
      load === null ? 'no report' : load.draining ? 'draining' : load.ready ? 'ready' : 'not ready',
    ]);
    if (d.message !== '') notes.push(`${d.node}: ${d.message}`);
    for (const r of d.rejected) notes.push(`${d.node} rejected ${r.id}: ${r.message}`);
  }
  // A controller of an earlier release does not say.
  for (const [i, { namespace, name, healthy, all, blocked }] of (status.backends ?? []).entries()) {
    const label = i === 0 ? 'backend' : '';
    rows.push([label, `${namespace}/${name}`, `${healthy}/${all} healthy`]);
    notes.push(`${namespace}/${name}: no requests to ${blocked.join(', ')}`);
  }
  return `${columns(rows)}${notes.map((note) => `  ${note}\n`).join('')}`;
}

function state(d: Status['dataPlanes'][number]): string {
  if (d.rejected.length > 0) return `rejected ${d.rejected.length}`;
  return d.behind > 0 ? `behind ${d.behind}` : d.revision === '' ? 'empty' : 'current';
}

function short(revision: string): string {
  return revision === '' ? '-' : revision.slice(0, 6);
}

function columns(rows: string[][]): string {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length);
  }
  return rows
    .map(
      (row) =>
        `${row
          .map((cell, i) => cell.padEnd(widths[i] ?? 0))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('');
}
