/** The field reference, from the same schemas as the CRDs. */
import { schemaOf } from './crd.ts';
import { EXAMPLES } from './examples.ts';
import { KINDS, type KindInfo } from './kinds.ts';
import { VALIDATIONS } from './rule.ts';
import type { Structural } from './structural.ts';
import { API_VERSION } from './v1alpha1/common.ts';

export function fieldReference(): string {
  const kinds = Object.values(KINDS);
  return `${[
    '# Route, Backend, Policy: every field',
    '',
    `Generated from the schemas in controller/api by \`make generate\`; do not edit. \`${API_VERSION}\`, category \`tidegate\`:`,
    '`kubectl get tidegate -A` lists all three, `kubectl explain route.spec.rules` says the same as this page.',
    '',
    '| Kind | Short name | What it is |',
    '|---|---|---|',
    ...kinds.map(
      (info) => `| [${info.kind}](#${info.kind.toLowerCase()}) | \`${info.shortName}\` | ${info.description} |`,
    ),
    '',
    'Durations are written as in Gateway API: `500ms`, `10s`, `1h30m`, at most 24h. Names in a spec refer to objects of the same namespace.',
    'Regular expressions use RE2 syntax and match the whole value; one that could take more than quadratic time is refused.',
    ...kinds.flatMap(kindSection),
  ].join('\n')}\n`;
}

function kindSection(info: KindInfo): string[] {
  const schema = schemaOf(info);
  const { spec, status } = schema.properties as { spec: Structural; status: Structural };
  return [
    '',
    `## ${info.kind}`,
    '',
    info.description,
    '',
    '```yaml',
    EXAMPLES[info.kind].trimEnd(),
    '```',
    ...objectSections(spec, 'spec', info.kind),
    ...objectSections(status, 'status', info.kind),
  ];
}

/** One table for an object, then one for each object inside it. */
function objectSections(schema: Structural, path: string, kind: string): string[] {
  const fields = Object.entries(schema.properties ?? {});
  const lines = ['', `### ${kind}: ${path}`, ''];
  const checks = schema[VALIDATIONS] ?? [];
  if (checks.length > 0) lines.push(`${checks.map(({ message }) => sentence(message)).join(' ')}`, '');
  lines.push('| Field | Type | Description |', '|---|---|---|');
  for (const [name, field] of fields) {
    const required = schema.required?.includes(name) === true ? ' **required**' : '';
    lines.push(`| \`${name}\`${required} | ${typeOf(field)} | ${describe(field)} |`);
  }
  for (const [name, field] of fields) {
    const inner = field.items ?? field;
    if (inner.type === 'object' && inner.additionalProperties === undefined) {
      lines.push(...objectSections(inner, `${path}.${name}${field.items === undefined ? '' : '[]'}`, kind));
    }
  }
  return lines;
}

function typeOf(field: Structural): string {
  if (field['x-kubernetes-int-or-string'] === true) return 'integer or string';
  if (field.type === 'array') {
    const { minItems = 0, maxItems } = field;
    const count = maxItems === undefined ? '' : `, ${minItems > 0 ? `${minItems} to` : 'up to'} ${maxItems}`;
    return `list of ${typeOf(field.items ?? {})}${count}`;
  }
  if (field.additionalProperties !== undefined) return `map of ${typeOf(field.additionalProperties)}`;
  if (field.enum !== undefined) return field.enum.map((value) => `\`${value}\``).join(', ');
  if (
    (field.type === 'integer' || field.type === 'number') &&
    field.minimum !== undefined &&
    field.maximum !== undefined
  ) {
    return `${field.type}, ${field.minimum} to ${field.maximum}`;
  }
  return field.type ?? 'object';
}

function describe(field: Structural): string {
  const parts = [field.description ?? field.items?.description ?? ''];
  if (field.default !== undefined) parts.push(`Default \`${JSON.stringify(field.default).replaceAll('"', '')}\`.`);
  for (const { message } of scalarChecks(field)) {
    parts.push(sentence(message));
  }
  return parts
    .filter((part) => part !== '')
    .join(' ')
    .replaceAll('|', '\\|');
}

/** What a value must be; of an object its own section says it. */
function scalarChecks(field: Structural): { message: string }[] {
  const one = field.items ?? field;
  return one.type === 'object' ? [] : (one[VALIDATIONS] ?? []);
}

function sentence(message: string): string {
  return `${message.charAt(0).toUpperCase()}${message.slice(1)}.`;
}
