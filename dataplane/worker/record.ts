/** What is noted of an exchange when it is over: meter, series, access log. On the hot path. */

import type { CompiledRule } from '../pipeline/chain.ts';
import type { Exchange } from '../pipeline/exchange.ts';
import type { LineSink, WriteLine } from '../telemetry/access-log.ts';
import type { LoadMeter } from '../telemetry/meter.ts';
import { NO_ROUTE, type Series } from '../telemetry/series.ts';

export interface RecordDeps {
  readonly meter: LoadMeter;
  readonly series: Series;
  /** Null: no access log. */
  readonly log: { readonly write: WriteLine; readonly sink: LineSink } | null;
  /** ms on the clock of `exchange.startedAtMs`. */
  readonly now: () => number;
}

/** For `onFinish` of the pipeline. */
export function createRecord({ meter, series, log, now }: RecordDeps): (exchange: Exchange) => void {
  const routes = new WeakMap<CompiledRule, string>();
  const routeOf = (rule: CompiledRule): string => {
    let route = routes.get(rule);
    if (route === undefined) {
      route = `${rule.resource.namespace}/${rule.resource.route}`;
      routes.set(rule, route);
    }
    return route;
  };
  return (exchange) => {
    const { rule, status } = exchange;
    const endMs = now();
    const durationMs = endMs - exchange.startedAtMs;
    meter.end(status, durationMs, exchange.upstreamMs, exchange.bytesIn, exchange.bytesOut);
    series.count(rule === null ? NO_ROUTE : routeOf(rule), status, durationMs, exchange.code, exchange.grpcStatus);
    if (log !== null) log.write(exchange, endMs, log.sink);
  };
}
