/** The schemas' verdict as Problems, with paths and words for a person. For files, the command line, the webhook and the model. */
import type { z } from 'zod';
import { closest } from './closest.ts';
import { isTidegateKind, KIND_NAMES, KINDS } from './kinds.ts';
import type { ObjectRef, Problem } from './problem.ts';
import { API_VERSION, show } from './v1alpha1/common.ts';

/** A Problem's place and words, before it is known whose it is. */
export interface Fault {
  /** `rules[0].backends[0].weight`, below the value that was checked. */
  readonly path: readonly (string | number)[];
  readonly message: string;
}

export type Checked<T> =
  | { readonly value: T; readonly faults: readonly [] }
  | { readonly value: undefined; readonly faults: readonly Fault[] };

/** Checks a value against a schema. */
export function check<S extends z.ZodType>(schema: S, value: unknown): Checked<z.output<S>> {
  const result = schema.safeParse(value, { error: explain });
  if (result.success) return { value: result.data, faults: [] };
  return { value: undefined, faults: result.error.issues.flatMap((issue) => faultsOf(issue, schema)) };
}

/** All problems of a whole document as a user writes it: apiVersion, kind, metadata, spec. */
export function validateDocument(document: unknown): {
  readonly ref?: ObjectRef;
  readonly problems: readonly (Omit<Problem, 'object'> & { object?: ObjectRef })[];
} {
  const fault = (path: string, message: string) => ({ problems: [{ path, reason: 'Invalid' as const, message }] });
  if (!isRecord(document))
    return fault('', `must be an object with apiVersion, kind, metadata and spec, got ${show(document)}`);
  const { apiVersion, kind, metadata, spec } = document;
  if (!isTidegateKind(kind)) {
    return fault('kind', kind === undefined ? 'is required' : `must be ${KIND_NAMES.join(', ')}, got ${show(kind)}`);
  }
  if (apiVersion !== API_VERSION) {
    return fault(
      'apiVersion',
      apiVersion === undefined ? `is required: ${API_VERSION}` : `must be ${API_VERSION}, got ${show(apiVersion)}`,
    );
  }
  if (!isRecord(metadata)) return fault('metadata', metadata === undefined ? 'is required' : 'must be an object');
  for (const key of ['name', 'namespace'] as const) {
    const text = metadata[key];
    if (text === undefined && key === 'namespace') continue;
    const good = typeof text === 'string' && text.length <= (key === 'name' ? 253 : 63) && OBJECT_NAME.test(text);
    if (!good)
      return fault(
        `metadata.${key}`,
        text === undefined ? 'is required' : `must be lower-case letters, digits, - and ., got ${show(text)}`,
      );
  }
  const ref: ObjectRef = {
    kind,
    namespace: (metadata.namespace as string | undefined) ?? 'default',
    name: metadata.name as string,
  };
  const unknown = Object.keys(document)
    .filter((key) => !['apiVersion', 'kind', 'metadata', 'spec', 'status'].includes(key))
    .map((key) => ({
      object: ref,
      path: key,
      reason: 'Invalid' as const,
      message: unknownField(key, ['spec', 'metadata']),
    }));
  return { ref, problems: [...unknown, ...validateSpec(ref, spec)] };
}

/** All problems of a spec of one of our kinds. */
export function validateSpec(ref: ObjectRef, spec: unknown): Problem[] {
  if (!isTidegateKind(ref.kind)) throw new TypeError(`${ref.kind} has no schema here`);
  return check(KINDS[ref.kind].spec, spec).faults.map((fault) => invalid(ref, ['spec', ...fault.path], fault.message));
}

export function invalid(object: ObjectRef, path: readonly (string | number)[], message: string): Problem {
  return { object, path: formatPath(path), reason: 'Invalid', message };
}

/** `spec.rules[0].name` */
export function formatPath(path: readonly (string | number)[]): string {
  return path.reduce<string>(
    (text, part) => (typeof part === 'number' ? `${text}[${part}]` : text === '' ? part : `${text}.${part}`),
    '',
  );
}

const OBJECT_NAME = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function faultsOf(issue: z.core.$ZodIssue, schema: z.ZodType): Fault[] {
  const path = issue.path.map((part) => (typeof part === 'number' ? part : String(part)));
  if (issue.code !== 'unrecognized_keys') return [{ path, message: issue.message }];
  const known = fieldsAt(schema, path);
  return issue.keys.map((key) => ({ path: [...path, key], message: unknownField(key, known) }));
}

function unknownField(key: string, known: readonly string[]): string {
  const meant = closest(key, known);
  if (meant !== null) return `unknown field, did you mean ${meant}?`;
  return known.length > 0 ? `unknown field; there are ${known.join(', ')}` : 'unknown field';
}

/** The field names a schema has at a path. */
function fieldsAt(schema: z.ZodType, path: readonly (string | number)[]): string[] {
  let at = unwrap(schema);
  for (const part of path) {
    const def = at.def as { shape?: Record<string, z.ZodType>; element?: z.ZodType };
    const next = typeof part === 'number' ? def.element : def.shape?.[part];
    if (next === undefined) return [];
    at = unwrap(next);
  }
  return Object.keys((at.def as { shape?: object }).shape ?? {});
}

function unwrap(schema: z.ZodType): z.ZodType {
  let at = schema;
  for (;;) {
    const inner = (at.def as { innerType?: z.ZodType }).innerType;
    if (inner === undefined) return at;
    at = inner;
  }
}

/** Words for what Zod finds by itself; our own rules bring theirs. */
function explain(issue: z.core.$ZodRawIssue): string | undefined {
  const { input } = issue;
  switch (issue.code) {
    case 'invalid_type':
      if (input === undefined) return 'is required';
      return `must be ${TYPE_WORDS[issue.expected] ?? issue.expected}, got ${show(input)}`;
    case 'invalid_value': {
      if (input === undefined) return 'is required';
      const values = issue.values.map(String);
      const meant = typeof input === 'string' ? closest(input, values) : null;
      return `must be ${values.length === 1 ? '' : 'one of '}${values.join(', ')}, got ${show(input)}${meant === null ? '' : ` (did you mean ${meant}?)`}`;
    }
    case 'too_big':
      if (issue.origin === 'string') return `must be at most ${issue.maximum} characters long`;
      if (issue.origin === 'array')
        return `must have at most ${issue.maximum} items, got ${(input as unknown[]).length}`;
      return undefined;
    case 'too_small':
      if (issue.origin === 'string') return 'must not be empty';
      if (issue.origin === 'array') return 'must not be empty';
      return undefined;
    default:
      return undefined;
  }
}

const TYPE_WORDS: Readonly<Record<string, string>> = {
  string: 'a string',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
};
