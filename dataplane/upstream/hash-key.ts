/** What of a request decides its endpoint, as a number. On the hot path. */
import type { Exchange } from '../pipeline/exchange.ts';
import { parseCookies, parseQuery } from '../pipeline/values.ts';
import type { HashKey } from '../snapshot/backend/balancing.ts';
import { hashText } from './balance/hash.ts';

/** uint32. A request that lacks it gets a random one: it goes anywhere, by weight. */
export type KeyOf = (exchange: Exchange) => number;

/** `random` gives numbers from 0 to below 1. */
export function createKeyOf(key: HashKey, random: () => number): KeyOf {
  const read = createRead(key);
  return (exchange) => {
    const value = read(exchange);
    return value === undefined ? Math.floor(random() * 2 ** 32) : hashText(value);
  };
}

function createRead(key: HashKey): (exchange: Exchange) => string | undefined {
  switch (key.by) {
    case 'header':
      return ({ headers }) => headers.getCombined(key.name);
    case 'cookie':
      return ({ headers }) => parseCookies(headers).get(key.name);
    case 'query':
      return ({ query }) => parseQuery(query).get(key.name);
    case 'address':
      return ({ clientAddress }) => clientAddress;
  }
}
