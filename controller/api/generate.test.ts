import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { customResourceDefinitions } from './crd.ts';
import { generatedFiles, repository } from './generate.ts';
import type { Structural } from './structural.ts';

const { root, version } = repository(import.meta.dirname);

test.each([...generatedFiles(version)])('%s is what the schemas say', (file, text) => {
  expect(readFileSync(path.join(root, file), 'utf8')).toBe(text);
});

test('--check ends with 0 when nothing differs, and refuses what it does not know', () => {
  const run = (...args: string[]) =>
    spawnSync(process.execPath, ['--conditions=source', path.join(import.meta.dirname, 'generate.ts'), ...args], {
      encoding: 'utf8',
    });
  expect(run('--check')).toMatchObject({ status: 0, stderr: '' });
  expect(run('--chekc')).toMatchObject({ status: 2 });
});

describe.each(customResourceDefinitions())('$spec.names.kind', (definition) => {
  const schema = definition.spec.versions[0]?.schema.openAPIV3Schema as Structural;

  test('bounds every string and list of the spec, so that what CEL may cost is bounded', () => {
    const unbounded: string[] = [];
    walk(schema.properties?.spec as Structural, 'spec', (node, at) => {
      if (node.type === 'string' && node.maxLength === undefined && node.enum === undefined) unbounded.push(at);
      if (node.type === 'array' && node.maxItems === undefined) unbounded.push(at);
    });
    expect(unbounded).toEqual([]);
  });

  test('describes every field', () => {
    const silent: string[] = [];
    walk(schema.properties?.spec as Structural, 'spec', (node, at) => {
      if (!at.endsWith(']') && (node.description ?? '') === '') silent.push(at);
    });
    expect(silent).toEqual([]);
  });

  test('has no field that kubectl, which reads YAML 1.1, takes for a boolean', () => {
    const taken: string[] = [];
    walk(schema.properties?.spec as Structural, 'spec', (_node, at) => {
      if (/\.(y|n|yes|no|on|off|true|false)$/i.test(at)) taken.push(at);
    });
    expect(taken).toEqual([]);
  });

  test('is written as it is', () => {
    const text = readFileSync(path.join(root, `crds/${definition.spec.names.plural}.yaml`), 'utf8');
    expect(parse(text)).toEqual(JSON.parse(JSON.stringify(definition)));
  });
});

function walk(node: Structural, at: string, visit: (node: Structural, at: string) => void): void {
  visit(node, at);
  for (const [name, inner] of Object.entries(node.properties ?? {})) walk(inner, `${at}.${name}`, visit);
  if (node.items !== undefined) walk(node.items, `${at}[]`, visit);
}
