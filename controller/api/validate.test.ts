import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { EXAMPLES } from './examples.ts';
import { validateDocument } from './validate.ts';

const root = path.join(import.meta.dirname, '../..');

function messages(document: unknown): string[] {
  return validateDocument(document).problems.map(({ path, message }) => `${path}: ${message}`);
}

function route(spec: unknown): unknown {
  return { apiVersion: 'tidegate.dev/v1alpha1', kind: 'Route', metadata: { name: 'a' }, spec };
}

const answer = { name: 'a', respond: { status: 200 } };

describe('what is written to be read is valid', () => {
  test.each(Object.entries(EXAMPLES))('the example of %s in the field reference', (_, text) => {
    expect(messages(parse(text))).toEqual([]);
  });

  const folder = path.join(root, 'controller/examples');
  test.each(readdirSync(folder))('controller/examples/%s', (file) => {
    for (const document of parseAllDocuments(readFileSync(path.join(folder, file), 'utf8'))) {
      const value = document.toJS();
      // A Secret is Kubernetes's own kind.
      if (value.kind !== 'Secret') expect(messages(value)).toEqual([]);
    }
  });
});

describe('what the API server refuses, files refuse too, with the same field', () => {
  const file = readFileSync(path.join(root, 'e2e/crds/refused.yaml'), 'utf8');
  const cases = parse(file) as {
    case: string;
    kind: string;
    spec: object;
    field: string;
    says: string;
    files?: string;
  }[];
  test.each(cases)('$case', ({ kind, spec, field, says, files }) => {
    const document = { apiVersion: 'tidegate.dev/v1alpha1', kind, metadata: { name: 'bad' }, spec };
    const found = messages(document).find((message) => message.startsWith(field) && message.includes(files ?? says));
    expect(found, messages(document).join('\n')).toBeDefined();
  });
});

describe('messages', () => {
  test.each([
    [
      route({ rules: [{ ...answer, backends: [{ name: 'b', weight: -1 }] }] }),
      'spec.rules[0].backends[0].weight: must be 0 to 1000, got -1',
    ],
    [
      route({ rules: [{ ...answer, matches: [{ headrs: [] }] }] }),
      'spec.rules[0].matches[0].headrs: unknown field, did you mean headers?',
    ],
    [route({ gatway: 'x', rules: [answer] }), 'spec.gatway: unknown field, did you mean gateway?'],
    [route({ rules: [answer, answer] }), 'spec.rules: each name once, got "a" twice'],
    [
      route({ rules: [{ ...answer, respond: { status: 'ok' } }] }),
      'spec.rules[0].respond.status: must be 200 to 599, got "ok"',
    ],
    [route({ rules: 'none' }), 'spec.rules: must be a list, got "none"'],
    [route(undefined), 'spec: is required'],
    [
      route({ rules: Array.from({ length: 65 }, (_, i) => ({ ...answer, name: `r${i}` })) }),
      'spec.rules: must have at most 64 items, got 65',
    ],
    [
      route({
        rules: [
          {
            ...answer,
            headers: {
              response: {
                set: [
                  { name: 'x-a', value: '1' },
                  { name: 'x-a', value: '2' },
                ],
              },
            },
          },
        ],
      }),
      'spec.rules[0].headers.response.set: each name once, got "x-a" twice',
    ],
    ['text', ': must be an object with apiVersion, kind, metadata and spec, got "text"'],
    [{ kind: 'Rout' }, 'kind: must be Route, Backend, Policy, got "Rout"'],
    [{ kind: 'Route' }, 'apiVersion: is required: tidegate.dev/v1alpha1'],
    [{ kind: 'Route', apiVersion: 'v1' }, 'apiVersion: must be tidegate.dev/v1alpha1, got "v1"'],
    [{ kind: 'Route', apiVersion: 'tidegate.dev/v1alpha1' }, 'metadata: is required'],
    [
      { kind: 'Route', apiVersion: 'tidegate.dev/v1alpha1', metadata: { name: 'A' } },
      'metadata.name: must be lower-case letters, digits, - and ., got "A"',
    ],
    [
      { kind: 'Route', apiVersion: 'tidegate.dev/v1alpha1', metadata: { name: 'a', namespace: '../x' } },
      'metadata.namespace: must be lower-case letters, digits, - and ., got "../x"',
    ],
    [{ ...(route({ rules: [answer] }) as object), sepc: {} }, 'sepc: unknown field, did you mean spec?'],
  ])('%j', (document, message) => {
    expect(messages(document)).toContain(message);
  });

  test('a hostile document is refused, not run into', () => {
    expect(messages(JSON.parse('{"__proto__": {"kind": "Route"}}'))).toEqual(['kind: is required']);
    expect(messages({ ...(route({ rules: [answer] }) as object), kind: 'constructor' })).toHaveLength(1);
    expect(messages(route(JSON.parse('{"__proto__": 1, "rules": []}'))).length).toBeGreaterThan(0);
  });
});
