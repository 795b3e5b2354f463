/** What requests are told apart by, as text. On the hot path: the one-part keys make no string. */

import { addressPrefix } from '../../io/address-prefix.ts';
import type { CompiledRule } from '../../pipeline/chain.ts';
import type { Exchange } from '../../pipeline/exchange.ts';
import type { LimitKeyPart } from '../../snapshot/sections/rate-limit.ts';

export type KeyOf = (exchange: Exchange) => string;

/** Empty where the key has no parts, and for a part that the request lacks. */
export function createKey(parts: readonly LimitKeyPart[]): KeyOf {
  const [first, ...rest] = parts.map(partOf);
  if (first === undefined) return () => '';
  if (rest.length === 0) return first;
  return (exchange) => {
    let key = sized(first(exchange));
    for (const part of rest) key += sized(part(exchange));
    return key;
  };
}

/** With its length, so that no value can reach over into the next part. */
function sized(text: string): string {
  return `${text.length}:${text}`;
}

function partOf(part: LimitKeyPart): KeyOf {
  switch (part.by) {
    case 'address': {
      const { prefixV4, prefixV6 } = part;
      return ({ clientAddress }) => addressPrefix(clientAddress, prefixV4, prefixV6);
    }
    case 'consumer':
      return ({ identity }) => identity?.consumer ?? '';
    case 'claim': {
      const { name } = part;
      const path = name.split('.');
      return ({ identity }) => {
        if (identity === null) return '';
        const { claims } = identity;
        const value = Object.hasOwn(claims, name) ? claims[name] : follow(claims, path);
        return typeof value === 'string' ? value : (JSON.stringify(value) ?? '');
      };
    }
    case 'header': {
      const { name } = part;
      return ({ headers }) => headers.getCombined(name) ?? '';
    }
    case 'route':
      return ofRule(({ resource }) => `${resource.namespace}/${resource.route}`);
    case 'rule':
      return ofRule(({ id }) => id);
  }
}

/** Dots lead into objects, where no claim has that whole name: names such as `https://example.com/roles` hold dots themselves. */
function follow(claims: Readonly<Record<string, unknown>>, path: readonly string[]): unknown {
  let value: unknown = claims;
  for (const part of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined;
    value = (value as Record<string, unknown>)[part];
  }
  return value;
}

/** The same text as long as the rule stays: most often it does. */
function ofRule(text: (rule: CompiledRule) => string): KeyOf {
  let last: CompiledRule | null = null;
  let lastText = '';
  return ({ rule }) => {
    if (rule !== null && rule !== last) {
      last = rule;
      lastText = text(rule);
    }
    return lastText;
  };
}
