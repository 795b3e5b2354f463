/** Runs helm on the chart and reads what it renders. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { parseAllDocuments } from 'yaml';
import { binDirectory } from '../cluster/versions.ts';

const run = promisify(execFile);

export const root = join(import.meta.dirname, '..', '..');
export const chart = join(root, 'charts', 'tidegate');
export const valuesFolder = join(chart, 'ci');

// biome-ignore lint/suspicious/noExplicitAny: manifests of many kinds, looked into by tests only
export type Manifest = any;

/** The cluster's own build, else one on PATH. */
export function helmPath(): string {
  const folders = [binDirectory(), ...(process.env.PATH ?? '').split(delimiter)];
  const found = folders.map((folder) => join(folder, 'helm')).find(existsSync);
  if (found === undefined) throw new Error('helm is missing: node e2e/cluster/build.ts builds it (or put one on PATH)');
  return found;
}

/** stdout of helm; a failure throws with its stderr as message. */
export async function helm(...args: string[]): Promise<string> {
  try {
    return (await run(helmPath(), args, { timeout: 60_000, maxBuffer: 32 * 1024 * 1024 })).stdout;
  } catch (error) {
    const { stderr, stdout } = error as { stderr?: string; stdout?: string };
    throw new Error(`helm ${args.join(' ')}:\n${stderr || stdout || String(error)}`);
  }
}

export async function render(options: {
  readonly chart?: string;
  readonly values?: string;
  readonly set?: Readonly<Record<string, string>>;
  readonly release?: string;
  readonly kubeVersion?: string;
}): Promise<Manifest[]> {
  const set = Object.entries(options.set ?? {}).flatMap(([name, value]) => ['--set-json', `${name}=${value}`]);
  const text = await helm(
    ...['template', options.release ?? 'tidegate', options.chart ?? chart, '--namespace', 'gateways'],
    ...['--kube-version', options.kubeVersion ?? '1.34.0', ...set],
    ...(options.values === undefined ? [] : ['--values', join(valuesFolder, options.values)]),
  );
  return parseAllDocuments(text, { version: '1.1' }).flatMap((document) => {
    if (document.errors.length > 0) throw document.errors[0];
    const manifest: unknown = document.toJS();
    return manifest === null ? [] : [manifest];
  });
}

/** The one object of that kind and name; throws when there is none or more than one. */
export function pick(manifests: readonly Manifest[], kind: string, name: string): Manifest {
  const found = manifests.filter((manifest) => manifest.kind === kind && manifest.metadata.name === name);
  if (found.length !== 1) throw new Error(`${found.length} objects ${kind} ${name}`);
  return found[0];
}

export function podTemplate(manifests: readonly Manifest[], component: string): Manifest {
  const found = manifests.find(
    ({ kind, spec }) =>
      kind === 'Deployment' && spec.template.metadata.labels['app.kubernetes.io/component'] === component,
  );
  if (found === undefined) throw new Error(`no Deployment of component ${component}`);
  return found.spec.template;
}

/** Environment variables of the first container; those from fields are given by `fields`, by path, those of Secrets by `secret/<name>/<key>`. */
export function environment(template: Manifest, fields: Readonly<Record<string, string>>): Record<string, string> {
  const values: Record<string, string> = {};
  for (const { name, value, valueFrom } of template.spec.containers[0].env) {
    const secret = valueFrom?.secretKeyRef;
    const path: string | undefined =
      valueFrom?.fieldRef?.fieldPath ??
      valueFrom?.resourceFieldRef?.resource ??
      (secret === undefined ? undefined : `secret/${secret.name}/${secret.key}`);
    const text: string = path === undefined ? (value ?? '') : (fields[path] ?? '');
    values[name] = text.replaceAll(/\$\((\w+)\)/g, (whole, variable: string) => values[variable] ?? whole);
  }
  return values;
}
