/** Renders an explanation for a terminal. Pure. */
import type { ExplainedBackend, Explanation } from '@tidegate/dataplane/snapshot/explain';

const LABEL = 11;

export function renderExplanation(explanation: Explanation): string {
  const { rule, sections, backends, answer, notTaken, notTakenMore } = explanation;
  const lines: string[] = [];
  const say = (label: string, text: string) => lines.push(`${label.padEnd(LABEL)}${text}`);
  if (rule === null) {
    say('route', 'none');
  } else {
    say('route', `${rule.route} rule ${rule.rule}  (${rule.why})`);
    if (rule.trouble !== '') say('', `not as configured: ${rule.trouble}`);
  }
  const widths = [0, 0];
  for (const { section, source } of sections) {
    widths[0] = Math.max(widths[0] ?? 0, section.length);
    widths[1] = Math.max(widths[1] ?? 0, source.length);
  }
  for (const { section, source, text } of sections) {
    lines.push(` ${section.padEnd(widths[0] ?? 0)}  ${source.padEnd(widths[1] ?? 0)}  ${text}`);
  }
  if (answer !== null) {
    const what = [String(answer.status), answer.code].filter((part) => part !== '').join(' ');
    const by = answer.by === 'rule' ? 'the rule' : answer.by;
    say('answer', `${what}, by ${by}${answer.detail === '' ? '' : `: ${answer.detail}`}`);
  } else {
    for (const [index, backend] of inOrder(backends).entries()) say(index === 0 ? 'backend' : '', backendLine(backend));
  }
  for (const [index, { rule: name, why }] of notTaken.entries()) {
    say(index === 0 ? 'not taken' : '', `${name}  ${why}`);
  }
  if (notTakenMore > 0) say('', `and ${notTakenMore} more`);
  return lines.map((line) => `${printable(line).trimEnd()}\n`).join('');
}

/** The one that was explained first. */
function inOrder(backends: readonly ExplainedBackend[]): ExplainedBackend[] {
  return [...backends.filter(({ chosen }) => chosen), ...backends.filter(({ chosen }) => !chosen)];
}

function backendLine({ backend, weight, of, ownPolicies, chosen, text }: ExplainedBackend): string {
  const name = backend === '' ? '(unresolved)' : backend;
  const own = ownPolicies && !chosen ? `, has policies of its own: --backend ${name.slice(name.indexOf('/') + 1)}` : '';
  const share = weight === of ? '' : `weight ${weight} of ${of}`;
  const notes = `${share}${own}`.replace(/^, /, '');
  return `${name}${notes === '' ? '' : ` (${notes})`} → ${text}`;
}

/** Names come from tokens and databases: nothing of them may move the cursor. */
function printable(line: string): string {
  return line.replace(/\p{Cc}/gu, '?');
}
