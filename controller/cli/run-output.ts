/** Turns the programs' log lines into what a person at a terminal wants to read. Pure: a line in, text out. */
import type { LogLine } from './child.ts';

/** One problem of a refused file: `object` is `namespace/name`. */
interface ShownProblem {
  readonly object?: string;
  readonly path?: string;
  readonly message?: string;
  readonly line?: number;
}

const WARN = 40;
const MAX_SHOWN = 20;

/** The text for one line, without newline; null when the line is not for people. `starting`: nothing is served yet that could stay. */
export function renderLine(program: string, line: LogLine, clock: () => Date, starting = false): string | null {
  const at = clock().toTimeString().slice(0, 8);
  switch (line.event) {
    case 'applied': {
      const changed = listed(line.changed);
      if (changed === '') return null;
      const took = typeof line.tookMs === 'number' ? `live in ${Math.max(1, Math.round(line.tookMs))} ms` : 'live';
      return [`${at}  ${String(line.file)}  ${took} (${changed})`, ...problemLines(line.problems)].join('\n');
    }
    case 'refused': {
      const meanwhile = starting ? 'nothing of it is served' : 'the version before stays';
      return [`${at}  ${String(line.file)}  refused, ${meanwhile}`, ...problemLines(line.problems)].join('\n');
    }
    case 'troubles':
      return [`${at}  ${line.msg ?? ''}`, ...troubleLines(line.troubles)].join('\n');
    case 'guard':
    case 'tls':
    case 'health':
      return `${at}  ${String(line.backend)}  ${guardText(line)}`;
    default:
      if ((line.level ?? 0) >= WARN) return `${at}  ${program}: ${line.msg ?? JSON.stringify(line)}`;
      return null;
  }
}

/** Something is new of one endpoint of a backend, or of all: by what guards it, or by its health checks. */
function guardText({ endpoint, reason, msg }: LogLine): string {
  const where = endpoint === undefined ? '' : `${String(endpoint)}: `;
  return `${where}${msg ?? ''}${reason === undefined ? '' : ` (${String(reason)})`}`;
}

/** What the data plane can't do at the moment; `id` is `policy/<namespace>/<name>/<section>` or `backend/<namespace>/<name>`. */
function troubleLines(troubles: unknown): string[] {
  if (!Array.isArray(troubles)) return [];
  return (troubles as { id?: string; message?: string }[]).slice(0, MAX_SHOWN).map(({ id = '', message }) => {
    const [, namespace, name, section] = id.split('/');
    return `          ${namespace}/${name}  ${section === undefined ? '' : `${section}: `}${message}`;
  });
}

function listed(changed: unknown): string {
  if (!Array.isArray(changed) || changed.length === 0) return '';
  const shown = changed.slice(0, 3).map(String).join(', ');
  return changed.length > 3 ? `${shown} and ${changed.length - 3} more` : shown;
}

export function problemLines(problems: unknown): string[] {
  if (!Array.isArray(problems)) return [];
  const lines = (problems as ShownProblem[]).slice(0, MAX_SHOWN).map((p) => {
    const what = [p.path, p.message].filter(Boolean).join(': ');
    const where = p.line === undefined ? '' : `line ${p.line}`;
    return `          ${[where, p.object, what].filter(Boolean).join('  ')}`;
  });
  if (problems.length > MAX_SHOWN) lines.push(`          and ${problems.length - MAX_SHOWN} more`);
  return lines;
}
