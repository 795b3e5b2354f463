/**
 * A Zod schema as a structural OpenAPI v3 schema, as CustomResourceDefinitions demand it: every node typed, no
 * additionalProperties beside properties, no anyOf that carries types.
 */
import { z } from 'zod';
import { VALIDATIONS } from './rule.ts';

export interface Structural {
  description?: string;
  type?: 'object' | 'array' | 'string' | 'integer' | 'number' | 'boolean';
  format?: string;
  enum?: (string | number | boolean)[];
  default?: unknown;
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  minItems?: number;
  maxItems?: number;
  required?: string[];
  properties?: Record<string, Structural>;
  /** A map: of an object without properties. */
  additionalProperties?: Structural;
  minProperties?: number;
  maxProperties?: number;
  items?: Structural;
  anyOf?: { type: string }[];
  'x-kubernetes-int-or-string'?: true;
  'x-kubernetes-list-type'?: string;
  'x-kubernetes-list-map-keys'?: string[];
  [VALIDATIONS]?: { rule: string; message: string }[];
}

type Json = Record<string, unknown>;

/** Throws TypeError on what can't be said structurally: a mistake of ours. */
export function structuralSchema(schema: z.ZodType): Structural {
  return convert(z.toJSONSchema(schema, { io: 'input', target: 'openapi-3.0' }) as Json, '');
}

/** The API server takes no larger bound for the format int32. */
const MAX_INT32 = 2 ** 31 - 1;

const COPIED = [
  'description',
  'format',
  'default',
  'minLength',
  'maxLength',
  'minItems',
  'maxItems',
  'minProperties',
  'maxProperties',
  'x-kubernetes-list-type',
  'x-kubernetes-list-map-keys',
  VALIDATIONS,
] as const;

function convert(json: Json, path: string): Structural {
  const out: Record<string, unknown> = {};
  for (const key of COPIED) if (json[key] !== undefined) out[key] = json[key];
  if (json['x-kubernetes-int-or-string'] === true) {
    return { ...out, 'x-kubernetes-int-or-string': true, anyOf: [{ type: 'integer' }, { type: 'string' }] };
  }
  const values = enumeration(json);
  if (values !== null) {
    const type = typeof values[0] === 'number' ? 'integer' : (typeof values[0] as 'string' | 'boolean');
    return { ...out, type, enum: values };
  }
  switch (json.type) {
    case 'object': {
      if (typeof json.additionalProperties === 'object' && json.properties === undefined) {
        const values = convert(json.additionalProperties as Json, `${path}.*`);
        return { ...out, type: 'object', additionalProperties: values };
      }
      const properties = Object.entries((json.properties ?? {}) as Record<string, Json>).map(
        ([name, value]) => [name, convert(value, `${path}.${name}`)] as const,
      );
      const required = (json.required ?? []) as string[];
      return {
        ...out,
        type: 'object',
        ...(required.length > 0 ? { required } : {}),
        properties: Object.fromEntries(properties),
      };
    }
    case 'array':
      return { ...out, type: 'array', items: convert(json.items as Json, `${path}[]`) };
    case 'integer': {
      const { minimum, maximum } = json as { minimum?: number; maximum?: number };
      const bounds = {
        ...(minimum === undefined || minimum === Number.MIN_SAFE_INTEGER ? {} : { minimum }),
        ...(maximum === undefined || maximum === Number.MAX_SAFE_INTEGER ? {} : { maximum }),
      };
      return {
        ...out,
        type: 'integer',
        format: Number(bounds.maximum ?? Number.MAX_SAFE_INTEGER) <= MAX_INT32 ? 'int32' : 'int64',
        ...bounds,
      };
    }
    case 'number': {
      const { minimum, maximum } = json as { minimum?: number; maximum?: number };
      const bounds = { ...(minimum === undefined ? {} : { minimum }), ...(maximum === undefined ? {} : { maximum }) };
      return { ...out, type: 'number', ...bounds };
    }
    case 'string':
    case 'boolean':
      return { ...out, type: json.type };
    default:
      throw new TypeError(`${path}: no structural schema for ${JSON.stringify(json).slice(0, 200)}`);
  }
}

function enumeration(json: Json): (string | number | boolean)[] | null {
  if (Array.isArray(json.enum)) return json.enum as string[];
  if ('const' in json) return [json.const as string];
  if (!Array.isArray(json.anyOf)) return null;
  return (json.anyOf as Json[]).flatMap((option) => enumeration(option) ?? []);
}
