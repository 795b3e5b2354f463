/** Reads Signature-Input and Signature (RFC 9421 section 4), both structured fields (RFC 9651). */
import { isInnerList, parseDictionary, serializeBareItem, serializeInnerList, serializeItem } from 'structured-headers';

/** Longer fields, more signatures and more components than anybody needs: malformed. */
const MAX_LENGTH = 8_192;
const MAX_SIGNATURES = 8;
const MAX_COMPONENTS = 32;

export interface Component {
  /** `"@query-param";name="page"`: as it stands in the signature base. */
  readonly identifier: string;
  readonly name: string;
  readonly parameters: ReadonlyMap<string, unknown>;
}

export interface SignatureInput {
  readonly label: string;
  readonly components: readonly Component[];
  readonly keyId: string;
  /** Seconds since the epoch; undefined where not said. */
  readonly created: number | undefined;
  readonly expires: number | undefined;
  readonly nonce: string | undefined;
  readonly algorithm: string | undefined;
  readonly tag: string | undefined;
  /** The value of `@signature-params` (section 2.3). */
  readonly parameters: string;
  readonly signature: Buffer;
}

/** All signatures that name their key, in order; null where a field is malformed. Never throws. */
export function readSignatures(inputs: string, signatures: string): readonly SignatureInput[] | null {
  if (inputs.length > MAX_LENGTH || signatures.length > MAX_LENGTH) return null;
  try {
    const members = parseDictionary(inputs);
    const values = parseDictionary(signatures);
    if (members.size > MAX_SIGNATURES || values.size > MAX_SIGNATURES) return null;
    const found: SignatureInput[] = [];
    for (const [label, member] of members) {
      const value = values.get(label)?.[0];
      if (!isInnerList(member) || !(value instanceof ArrayBuffer)) return null;
      const [items, parameters] = member;
      const components = readComponents(items);
      if (components === null) return null;
      const keyId = text(parameters.get('keyid'));
      if (keyId === undefined) continue;
      found.push({
        label,
        components,
        keyId,
        created: seconds(parameters.get('created')),
        expires: seconds(parameters.get('expires')),
        nonce: text(parameters.get('nonce')),
        algorithm: text(parameters.get('alg')),
        tag: text(parameters.get('tag')),
        parameters: serializeInnerList(member),
        signature: Buffer.from(value),
      });
    }
    return found;
  } catch {
    return null;
  }
}

type Items = Parameters<typeof serializeInnerList>[0][0];

function readComponents(items: Items): Component[] | null {
  if (items.length > MAX_COMPONENTS) return null;
  const seen = new Set<string>();
  const components: Component[] = [];
  for (const [name, parameters] of items) {
    // Section 2: names are strings in lower case, and each identifier stands once, whatever the order of its parameters.
    if (typeof name !== 'string' || name !== name.toLowerCase()) return null;
    const plain = parameters.size === 0 && PLAIN.test(name);
    const identity = plain ? name : identityOf(name, parameters);
    if (seen.has(identity)) return null;
    seen.add(identity);
    components.push({ identifier: plain ? `"${name}"` : serializeItem([name, parameters]), name, parameters });
  }
  return components;
}

/** Most components: nothing to escape, no parameters. */
const PLAIN = /^@?[a-z0-9-]+$/;

function identityOf(name: string, parameters: Items[number][1]): string {
  const sorted = [...parameters].sort(([a], [b]) => (a < b ? -1 : 1));
  return [name, ...sorted.map(([key, value]) => `${key}=${serializeBareItem(value)}`)].join('\n');
}

/** A parameter of another type than its own is malformed (section 2.3). */
function text(value: unknown): string | undefined {
  if (value === undefined || typeof value === 'string') return value;
  throw new TypeError('not a string');
}

function seconds(value: unknown): number | undefined {
  if (value === undefined || Number.isInteger(value)) return value as number | undefined;
  throw new TypeError('not an integer');
}
