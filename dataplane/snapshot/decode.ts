/**
 * Bytes on the wire to a checked resource, and back. What this build does not know (a kind, a section, a field) is a rejected
 * resource with a message, never skipped.
 */
import { z } from 'zod';
import { canonicalBytes, hashBody } from './canonical.ts';
import { type Resource, type RuleResource, resource, ruleResource } from './resources.ts';

/** Bytes of one resource body; an endpoint set of ten thousand pods stays below 1 MiB. */
export const MAX_BODY_BYTES = 4 * 1024 * 1024;

/** A resource as it travels (`Resource` in gateway.proto) and lies on disk. */
export interface ResourceBytes {
  readonly id: string;
  readonly hash: string;
  /** Canonical JSON. */
  readonly body: Uint8Array;
}

/** A resource the data plane can't use, and why (`Rejected` in gateway.proto). */
export interface Rejection {
  readonly id: string;
  readonly hash: string;
  readonly message: string;
}

export type Decoded =
  | { readonly ok: true; readonly id: string; readonly hash: string; readonly resource: Resource }
  | ({ readonly ok: false } & Rejection);

/** Body and hash of a resource. The value must be in the schema's output form, with its defaults filled in. */
export function encodeResource(value: Resource): ResourceBytes {
  const body = canonicalBytes(value);
  return { id: value.id, hash: hashBody(body), body };
}

/** Checks hash, JSON, schema and identity. Never throws; the message names the first wrong field and quotes no value but a discriminator. */
export function decodeResource(bytes: ResourceBytes): Decoded {
  const { id, hash, body } = bytes;
  const reject = (message: string): Decoded => ({ ok: false, id, hash, message });
  if (body.byteLength > MAX_BODY_BYTES) {
    return reject(`body of ${body.byteLength} bytes: at most ${MAX_BODY_BYTES} are taken`);
  }
  const actual = hashBody(body);
  if (actual !== hash) return reject(`hash does not match the body: announced ${hash}, got ${actual}`);
  let json: unknown;
  try {
    json = JSON.parse(utf8.decode(body));
  } catch {
    return reject('body is not valid JSON in UTF-8');
  }
  const parsed = resource.safeParse(json);
  if (!parsed.success) return reject(describeIssue(parsed.error.issues, json));
  if (parsed.data.id !== id) return reject(`id: the body says ${parsed.data.id}`);
  if (!id.startsWith(`${parsed.data.kind}/`)) return reject(`id: must start with ${parsed.data.kind}/`);
  return { ok: true, id, hash, resource: parsed.data };
}

/** Where a rule stands, whatever it does. */
export type RulePlace = Pick<
  RuleResource,
  'id' | 'namespace' | 'route' | 'rule' | 'createdAtMs' | 'order' | 'hosts' | 'matches'
>;

/**
 * Of a rule that could not be decoded, the part that says which requests it takes, so that they can be refused instead of falling
 * through to a rule that was not meant for them. Null when that part is wrong too, or the bytes are not what was announced.
 */
export function decodeRulePlace({ id, hash, body }: ResourceBytes): RulePlace | null {
  if (!id.startsWith('rule/') || body.byteLength > MAX_BODY_BYTES || hashBody(body) !== hash) return null;
  try {
    const parsed = rulePlace.safeParse(JSON.parse(utf8.decode(body)));
    return parsed.success && parsed.data.id === id ? parsed.data : null;
  } catch {
    return null;
  }
}

const { namespace, route, rule, createdAtMs, order, hosts, matches } = ruleResource.shape;
const rulePlace = z.object({ id: z.string(), namespace, route, rule, createdAtMs, order, hosts, matches });
const utf8 = new TextDecoder('utf-8', { fatal: true });

function describeIssue(issues: readonly z.core.$ZodIssue[], input: unknown): string {
  const issue = issues[0];
  if (issue === undefined) return 'invalid';
  const more = issues.length > 1 ? ` (and ${issues.length - 1} more)` : '';
  const field = formatPath(issue.path);
  if (issue.code === 'unrecognized_keys') {
    const keys = issue.keys.map((key) => formatPath([...issue.path, key])).join(', ');
    return `${keys}: unknown field${more}`;
  }
  if (issue.code === 'invalid_union' && issue.discriminator !== undefined) {
    const found = valueAt(input, issue.path);
    const name = typeof found === 'string' ? JSON.stringify(found.slice(0, 64)) : 'missing';
    return `${field}: unknown ${issue.discriminator} ${name}: this data plane is older than the snapshot${more}`;
  }
  return `${field || 'body'}: ${issue.message}${more}`;
}

function valueAt(input: unknown, path: readonly PropertyKey[]): unknown {
  let value = input;
  for (const key of path) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = (value as Record<PropertyKey, unknown>)[key];
  }
  return value;
}

function formatPath(path: readonly PropertyKey[]): string {
  let out = '';
  for (const key of path) {
    if (typeof key === 'number') out += `[${key}]`;
    else out += out === '' ? String(key) : `.${String(key)}`;
  }
  return out;
}
