/** What each *.in.yaml compiles to is its *.out.yaml. `UPDATE_GOLDEN=1` rewrites them; read the diff. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { resource } from '@tidegate/dataplane/snapshot/resources';
import { expect, test } from 'vitest';
import { parseAllDocuments, stringify } from 'yaml';
import type { StoreObject } from '../store/objects.ts';
import { Store } from '../store/store.ts';
import { Compiler } from './compiler.ts';

const folder = path.join(import.meta.dirname, 'testdata');
const cases = readdirSync(folder).flatMap((file) =>
  file.endsWith('.in.yaml') ? [file.slice(0, -'.in.yaml'.length)] : [],
);

test.each(cases)('%s', (name) => {
  const out = stringify(compile(path.join(folder, `${name}.in.yaml`)), { lineWidth: 0, aliasDuplicateObjects: false });
  const file = path.join(folder, `${name}.out.yaml`);
  if (process.env.UPDATE_GOLDEN !== undefined) writeFileSync(file, out);
  expect(out).toBe(readFileSync(file, 'utf8'));
});

test('every golden file has its input', () => {
  const outs = readdirSync(folder).flatMap((file) =>
    file.endsWith('.out.yaml') ? [file.slice(0, -'.out.yaml'.length)] : [],
  );
  expect(outs.sort()).toEqual(cases.sort());
});

function compile(file: string) {
  const documents = parseAllDocuments(readFileSync(file, 'utf8')).map((document) => document.toJS());
  const options = documents[0].options === undefined ? { gateway: 'tidegate' } : documents.shift().options;
  const store = new Store();
  const change = store.apply(documents.map((document) => ({ type: 'upsert', object: toObject(document) })));
  const compiler = new Compiler({ store, ...options });
  compiler.apply(change);
  // What is emitted is what the contract takes: nothing is left for its defaults to add.
  for (const { resource: emitted } of compiler.resources.values()) expect(resource.parse(emitted)).toEqual(emitted);
  return {
    resources: [...compiler.resources.values()].map((one) => one.resource).sort((a, b) => (a.id < b.id ? -1 : 1)),
    objects: [...compiler.outcomes.values()]
      .map(({ ref, uid, generation, problems, conditions, summary, resources }) => ({
        object: `${ref.kind} ${ref.namespace}/${ref.name}`,
        ...(uid === undefined ? {} : { uid }),
        generation,
        summary,
        conditions: conditions.map(
          ({ type, status, reason, message }) => `${type}=${status} ${reason}${message === '' ? '' : `: ${message}`}`,
        ),
        problems: problems.map(({ path, reason, message }) => `${reason} ${path}: ${message}`),
        resources,
      }))
      .sort((a, b) => (a.object < b.object ? -1 : 1)),
  };
}

function toObject(document: { metadata: object; apiVersion?: string }): StoreObject {
  const { apiVersion: _, ...rest } = document;
  return { ...rest, metadata: { generation: 1, ...document.metadata } } as unknown as StoreObject;
}
