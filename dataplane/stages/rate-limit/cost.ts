/** Units a request takes. */
import type { Exchange } from '../../pipeline/exchange.ts';
import type { Headers } from '../../pipeline/headers.ts';
import type { LimitCost } from '../../snapshot/sections/rate-limit.ts';

export type CostOf = (exchange: Exchange) => number;

/** Before it is admitted; 0 where only the response tells. */
export function requestCost(cost: LimitCost): CostOf {
  switch (cost.from) {
    case 'fixed': {
      const { amount } = cost;
      return () => amount;
    }
    case 'requestHeader':
      return ({ headers }) => Math.max(1, read(headers, cost.name, cost));
    case 'responseHeader':
      return () => 0;
  }
}

/** Null where the response does not matter. */
export function responseCost(cost: LimitCost): CostOf | null {
  if (cost.from !== 'responseHeader') return null;
  return ({ responseHeaders }) => (responseHeaders === null ? 0 : read(responseHeaders, cost.name, cost));
}

function read(headers: Headers, name: string, { default: fallback, max }: { default: number; max: number }): number {
  const text = headers.get(name);
  if (text === undefined || !/^\d{1,15}$/.test(text)) return fallback;
  return Math.min(max, Number(text));
}
