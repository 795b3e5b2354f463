/**
 * Writes what follows from the schemas: crds/*.yaml, crds/README.md and the chart charts/tidegate-crds.
 *
 *   node --conditions=source controller/api/generate.ts          write
 *   node --conditions=source controller/api/generate.ts --check  exit 1 and name each file that differs
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { type CustomResourceDefinition, customResourceDefinitions } from './crd.ts';
import { fieldReference } from './reference.ts';

const HEAD = '# Generated from controller/api by `make generate`; do not edit.\n';
const CHART = 'charts/tidegate-crds';

/** Every generated file by its path from the root of the repository. */
export function generatedFiles(version: string): Map<string, string> {
  const files = new Map<string, string>();
  for (const definition of customResourceDefinitions()) {
    const name = definition.spec.names.plural;
    files.set(`crds/${name}.yaml`, HEAD + yaml(definition));
    files.set(`${CHART}/templates/${name}.yaml`, HEAD + chartTemplate(definition));
  }
  files.set('crds/README.md', fieldReference());
  files.set(`${CHART}/Chart.yaml`, HEAD + chartFile(version));
  files.set(`${CHART}/values.yaml`, HEAD + CHART_VALUES);
  files.set(`${CHART}/values.schema.json`, `${JSON.stringify(CHART_VALUES_SCHEMA, null, 2)}\n`);
  return files;
}

function yaml(value: unknown): string {
  // kubectl and helm read YAML 1.1, to which `on` is a boolean.
  return stringify(value, { lineWidth: 0, aliasDuplicateObjects: false, compat: 'yaml-1.1' });
}

/** Two values of the chart; the schema holds no `{{`, which Helm would take for its own. */
function chartTemplate(definition: CustomResourceDefinition): string {
  const text = yaml(definition);
  if (text.includes('{{')) throw new Error(`${definition.metadata.name}: {{ in a schema`);
  return text.replace(
    `metadata:\n  name: ${definition.metadata.name}\n`,
    `metadata:
  name: ${definition.metadata.name}
  labels:
    app.kubernetes.io/name: tidegate
    app.kubernetes.io/part-of: tidegate
    app.kubernetes.io/managed-by: {{ .Release.Service }}
  {{- if .Values.keep }}
  annotations:
    helm.sh/resource-policy: keep
  {{- end }}
`,
  );
}

function chartFile(version: string): string {
  return `apiVersion: v2
name: tidegate-crds
description: The kinds of Tidegate (Route, Backend, Policy), apart from the program so that they can be upgraded and kept by themselves
type: application
version: ${version}
appVersion: ${version}
kubeVersion: ">=1.31.0-0"
`;
}

const CHART_VALUES = `
# Keep the kinds, and with them every Route, Backend and Policy, when this chart is uninstalled.
keep: true
`;

const CHART_VALUES_SCHEMA = {
  $schema: 'http://json-schema.org/draft-07/schema#',
  type: 'object',
  additionalProperties: false,
  properties: {
    keep: { type: 'boolean', description: 'Keep the kinds and their objects when the chart is uninstalled.' },
    global: { type: 'object' },
  },
};

function main(args: readonly string[]): number {
  const unknown = args.filter((arg) => arg !== '--check');
  if (unknown.length > 0) {
    process.stderr.write(`unknown argument ${unknown[0]}; there is --check\n`);
    return 2;
  }
  const { root, version } = repository(path.dirname(fileURLToPath(import.meta.url)));
  const files = generatedFiles(version);
  const stale = ['crds', CHART, `${CHART}/templates`].flatMap((folder) => strays(root, folder, files));
  const drifted = [...files].filter(([file, text]) => read(path.join(root, file)) !== text).map(([file]) => file);
  if (args.includes('--check')) {
    for (const file of [...drifted, ...stale])
      process.stderr.write(`${file} differs from the schemas: run make generate\n`);
    return drifted.length + stale.length === 0 ? 0 : 1;
  }
  for (const file of drifted) {
    mkdirSync(path.join(root, path.dirname(file)), { recursive: true });
    writeFileSync(path.join(root, file), files.get(file) ?? '');
    process.stdout.write(`wrote ${file}\n`);
  }
  for (const file of stale) {
    rmSync(path.join(root, file));
    process.stdout.write(`removed ${file}\n`);
  }
  return 0;
}

/** The root of the repository, from the source or the compiled file. */
export function repository(from: string): { readonly root: string; readonly version: string } {
  for (let folder = from; folder !== path.dirname(folder); folder = path.dirname(folder)) {
    const text = read(path.join(folder, 'package.json'));
    const { name, version = '' } = JSON.parse(text ?? '{}') as { name?: string; version?: string };
    if (name === 'tidegate') return { root: folder, version };
  }
  throw new Error(`no package.json of tidegate above ${from}`);
}

/** Files of a generated folder that no schema accounts for. */
function strays(root: string, folder: string, files: ReadonlyMap<string, string>): string[] {
  try {
    return readdirSync(path.join(root, folder), { withFileTypes: true })
      .filter((entry) => entry.isFile() && !files.has(`${folder}/${entry.name}`))
      .map((entry) => `${folder}/${entry.name}`);
  } catch {
    return [];
  }
}

function read(file: string): string | null {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return null;
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exitCode = main(process.argv.slice(2));
