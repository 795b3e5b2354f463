/** Conditions on claims. What is compared is text: `"3"` in a rule holds for the number 3. */
import type { ClaimCondition } from '../../snapshot/sections/authorization.ts';

export type Claims = Readonly<Record<string, unknown>>;

export function compileClaim({ name, values }: ClaimCondition): (claims: Claims) => boolean {
  const wanted = new Set(values);
  const path = name.split('.');
  const find = (claims: Claims): unknown => (Object.hasOwn(claims, name) ? claims[name] : follow(claims, path));
  if (wanted.size === 0) {
    return (claims) => {
      const value = find(claims);
      return value !== undefined && value !== null;
    };
  }
  return (claims) => {
    const value = find(claims);
    return Array.isArray(value) ? value.some((one) => holds(wanted, one)) : holds(wanted, value);
  };
}

/** A claim whose whole name is asked for comes first: names such as `https://example.com/roles` hold dots. */
function follow(claims: Claims, path: readonly string[]): unknown {
  let value: unknown = claims;
  for (const name of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
    value = (value as Claims)[name];
  }
  return value;
}

function holds(wanted: ReadonlySet<string>, value: unknown): boolean {
  if (typeof value === 'string') return wanted.has(value);
  return (typeof value === 'number' || typeof value === 'boolean') && wanted.has(String(value));
}
