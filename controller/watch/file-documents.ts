/** One YAML file as objects, or as what is wrong with it, with lines. Pure. */
import { type Document, LineCounter, parseAllDocuments } from 'yaml';
import type { ObjectRef } from '../api/problem.ts';
import { validateDocument } from '../api/validate.ts';
import { refOf, type SecretObject, type TidegateObject } from '../store/objects.ts';
import type { FileProblem } from './source.ts';

/** A file beyond this is refused: it is no configuration. */
export const MAX_FILE_BYTES = 8 * 1024 * 1024;
const MAX_PROBLEMS = 50;

export interface ParsedFile {
  /** Without generation and creation time, which the source gives. */
  readonly objects: readonly (TidegateObject | SecretObject)[];
  /** Where each object begins, 1-based. */
  readonly lines: readonly number[];
  readonly problems: readonly FileProblem[];
}

/** `text` may hold any number of documents; empty ones count for nothing. */
export function parseFile(text: string): ParsedFile {
  const counter = new LineCounter();
  const documents = parseAllDocuments(text, {
    lineCounter: counter,
    uniqueKeys: true,
    prettyErrors: true,
    stringKeys: true,
  });
  const objects: (TidegateObject | SecretObject)[] = [];
  const lines: number[] = [];
  const problems: FileProblem[] = [];
  for (const document of Array.isArray(documents) ? documents : []) {
    const broken = [...document.errors, ...document.warnings][0];
    if (broken !== undefined) {
      const line = broken.linePos?.[0].line;
      problems.push({
        path: '',
        reason: 'Invalid',
        message: `not YAML: ${broken.message.split(' at line ')[0]}`,
        line,
      });
      continue;
    }
    let value: unknown;
    try {
      value = document.toJS({ maxAliasCount: 100 });
    } catch (error) {
      // "Excessive alias count": the laughs that a few lines of anchors can make.
      problems.push({
        path: '',
        reason: 'Invalid',
        message: `not YAML: ${(error as Error).message}`,
        line: lineOf(document, [], counter),
      });
      continue;
    }
    if (value === null || value === undefined) continue;
    const read = isSecret(value) ? readSecret(value) : validateDocument(value);
    for (const problem of read.problems)
      problems.push({ ...problem, line: lineOf(document, pathParts(problem.path), counter) });
    if (read.ref === undefined || read.problems.length > 0) continue;
    const object = toObject(value as Record<string, unknown>, read.ref);
    const earlier = objects.findIndex((other) => sameRef(refOf(other), read.ref as ObjectRef));
    const line = lineOf(document, [], counter) ?? 1;
    if (earlier >= 0) {
      const message = `is defined twice in this file, first on line ${lines[earlier]}`;
      problems.push({ object: read.ref, path: '', reason: 'Invalid', message, line });
      continue;
    }
    objects.push(object);
    lines.push(line);
  }
  return { objects, lines, problems: problems.slice(0, MAX_PROBLEMS) };
}

export function sameRef(a: ObjectRef, b: ObjectRef): boolean {
  return a.kind === b.kind && a.namespace === b.namespace && a.name === b.name;
}

function isSecret(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && (value as { kind?: unknown }).kind === 'Secret';
}

function readSecret(value: Record<string, unknown>): { ref?: ObjectRef; problems: FileProblem[] } {
  const { apiVersion, metadata, data, stringData } = value;
  const { name, namespace } = (metadata ?? {}) as { name?: unknown; namespace?: unknown };
  const wrong = (path: string, message: string) => ({ problems: [{ path, reason: 'Invalid' as const, message }] });
  if (apiVersion !== 'v1') return wrong('apiVersion', 'must be v1 for a Secret');
  if (typeof name !== 'string' || name === '') return wrong('metadata.name', 'is required');
  if (namespace !== undefined && typeof namespace !== 'string') return wrong('metadata.namespace', 'must be a string');
  const strings = (map: unknown) =>
    map === undefined ||
    (typeof map === 'object' && map !== null && Object.values(map).every((one) => typeof one === 'string'));
  // Values stay out of messages: they are secret.
  if (!strings(data)) return wrong('data', 'must be a map of base64 strings');
  if (!strings(stringData)) return wrong('stringData', 'must be a map of strings');
  return { ref: { kind: 'Secret', namespace: namespace ?? 'default', name }, problems: [] };
}

function toObject(value: Record<string, unknown>, ref: ObjectRef): TidegateObject | SecretObject {
  const { labels, annotations } = value.metadata as {
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
  };
  const metadata = {
    namespace: ref.namespace,
    name: ref.name,
    ...(labels === undefined ? {} : { labels }),
    ...(annotations === undefined ? {} : { annotations }),
  };
  if (ref.kind === 'Route' || ref.kind === 'Backend' || ref.kind === 'Policy')
    return { kind: ref.kind, metadata, spec: value.spec };
  const { type, data, stringData } = value as {
    type?: string;
    data?: Record<string, string>;
    stringData?: Record<string, string>;
  };
  const encoded = Object.entries(stringData ?? {}).map(([key, text]) => [key, Buffer.from(text).toString('base64')]);
  return { kind: 'Secret', metadata, type, data: { ...data, ...Object.fromEntries(encoded) } };
}

/** `spec.rules[0].name` back into its parts. */
function pathParts(path: string): (string | number)[] {
  return [...path.matchAll(/\[(\d+)\]|([^.[\]]+)/g)].map(([, index, key]) =>
    index === undefined ? (key ?? '') : Number(index),
  );
}

/** The line of the deepest part of a path that the document has. */
function lineOf(document: Document.Parsed, path: (string | number)[], counter: LineCounter): number | undefined {
  for (let length = path.length; length >= 0; length--) {
    const node = length === 0 ? document.contents : document.getIn(path.slice(0, length), true);
    const offset = (node as { range?: readonly number[] | null } | null | undefined)?.range?.[0];
    if (offset !== undefined) return counter.linePos(offset).line;
  }
  return undefined;
}
