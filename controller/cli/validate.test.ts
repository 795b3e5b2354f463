import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { validateFiles } from './validate.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'tidegate-validate-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const route = (name: string, rule: string): string =>
  `apiVersion: tidegate.dev/v1alpha1\nkind: Route\nmetadata: { name: ${name} }\nspec:\n  rules:\n    - ${rule}\n`;
function write(name: string, text: string): string {
  const file = path.join(folder, name);
  writeFileSync(file, text);
  return file;
}

test('the example configuration is good', async () => {
  const examples = ['1-hello', '2-orders', '3-policies', '4-access', '5-resilience'].map((name) =>
    path.join(import.meta.dirname, `../examples/${name}.yaml`),
  );
  expect(await validateFiles(examples, 'tidegate')).toEqual({ files: 5, objects: 15, errors: [], warnings: [] });
});

test('an error names file, line, object and field', async () => {
  const file = write('a.yaml', route('a', '{ name: x, backends: [{ name: y, weight: -1 }] }'));
  const { errors } = await validateFiles([file], 'tidegate');
  expect(errors).toEqual([
    expect.objectContaining({
      file,
      line: 6,
      object: { kind: 'Route', namespace: 'default', name: 'a' },
      path: 'spec.rules[0].backends[0].weight',
      message: 'must be 0 to 1000, got -1',
    }),
  ]);
});

test('a reference to nothing is a warning, as the gateway would take the file', async () => {
  const file = write('a.yaml', route('a', '{ name: x, backends: [{ name: nowhere }] }'));
  const { errors, warnings } = await validateFiles([file], 'tidegate');
  expect(errors).toEqual([]);
  expect(warnings).toEqual([expect.objectContaining({ file, message: expect.stringContaining('nowhere') })]);
});
