/** Claims of a token → who calls. Made once a token, off the hot path. */
import type { Identity } from '../../../pipeline/identity.ts';
import type { ClaimMapping } from '../../../snapshot/sections/authentication/claims.ts';
import type { Vouched } from '../method.ts';

export type Claims = Readonly<Record<string, unknown>>;

/** Null: a claim that is needed is missing or wrong. */
export type ReadClaims = (claims: Claims) => Vouched | null;

const MAX_NAMES = 256;
const MAX_NAME_LENGTH = 253;
/** A longer value would be a head that backends refuse: it is left out. */
const MAX_FIELD_LENGTH = 4096;

export function createClaimReader(mapping: ClaimMapping, method: string): ReadClaims {
  return (claims) => {
    const consumer = nameOf(claimOf(claims, mapping.consumerClaim));
    if (consumer === null) return null;
    for (const { claim, values } of mapping.requiredClaims) {
      const value = claimOf(claims, claim);
      if (value === undefined || value === null) return null;
      if (values.length > 0 && !textsOf(value).some((text) => values.includes(text))) return null;
    }
    const identity: Identity = {
      consumer,
      groups: textsOf(claimOf(claims, mapping.groupsClaim)).slice(0, MAX_NAMES),
      scopes: scopesOf(claimOf(claims, mapping.scopesClaim)).slice(0, MAX_NAMES),
      claims,
      method,
    };
    const fields: string[] = [];
    for (const { claim, header } of mapping.claimHeaders) {
      const value = fieldValueOf(claimOf(claims, claim));
      if (value !== null) fields.push(header, value);
    }
    return { kind: 'vouched', identity, fields };
  };
}

/** By its very name first: names such as `https://example.com/roles` hold dots themselves. Else dots lead into objects. */
export function claimOf(claims: Claims, name: string): unknown {
  if (Object.hasOwn(claims, name)) return claims[name];
  let value: unknown = claims;
  for (const part of name.split('.')) {
    if (typeof value !== 'object' || value === null || Array.isArray(value) || !Object.hasOwn(value, part)) {
      return undefined;
    }
    value = (value as Claims)[part];
  }
  return value;
}

function nameOf(value: unknown): string | null {
  if (typeof value === 'number' && Number.isFinite(value)) return String(value);
  return typeof value === 'string' && value !== '' && value.length <= MAX_NAME_LENGTH ? value : null;
}

function textsOf(value: unknown): string[] {
  const list = Array.isArray(value) ? value : [value];
  return list.flatMap((one) => {
    if (typeof one === 'string') return one === '' ? [] : [one];
    return typeof one === 'number' || typeof one === 'boolean' ? [String(one)] : [];
  });
}

function scopesOf(value: unknown): string[] {
  return typeof value === 'string' ? value.split(' ').filter((scope) => scope !== '') : textsOf(value);
}

/** Lists with commas between their parts, objects as JSON; what a field can't hold as `?`. */
function fieldValueOf(value: unknown): string | null {
  if (value === undefined || value === null) return null;
  const isObject = typeof value === 'object' && !Array.isArray(value);
  const text = isObject ? JSON.stringify(value) : textsOf(value).join(',');
  return text === '' || text.length > MAX_FIELD_LENGTH ? null : text.replaceAll(/[^\x20-\x7e]/g, '?');
}
