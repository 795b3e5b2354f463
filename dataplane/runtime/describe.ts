/** The running configuration as /debug/config shows it. */
import type { Rejection } from '../snapshot/decode.ts';
import { describeRule } from '../stages/describe.ts';
import { describeSection } from '../stages/registry.ts';
import type { Ledger } from './ledger.ts';

export interface RuntimeDescription {
  readonly revision: string;
  readonly generation: number;
  /** This one and those that still have exchanges. */
  readonly liveGenerations: number;
  readonly resources: number;
  readonly rejected: readonly Rejection[];
  readonly rules: readonly unknown[];
  readonly policies: readonly unknown[];
  readonly backends: readonly unknown[];
}

export function describeLedger(
  ledger: Ledger,
  revision: string,
  generation: number,
  liveGenerations: number,
): RuntimeDescription {
  return {
    revision,
    generation,
    liveGenerations,
    resources: ledger.held.size,
    rejected: sorted(ledger.rejected).map(([, rejection]) => rejection),
    rules: sorted(ledger.rules).map(([, { compiled, answersPreflight, routable }]) => ({
      ...(describeRule(compiled.resource) as object),
      hash: compiled.hash,
      refused: answersPreflight === null,
      routed: routable !== null,
      effectiveTimeouts: { requestMs: compiled.requestTimeoutMs, backendMs: compiled.backendTimeoutMs },
    })),
    policies: sorted(ledger.policies).map(([id, { resource }]) => ({
      id,
      source: resource.source,
      config: describeSection(resource.config),
    })),
    backends: sorted(ledger.backends).map(([id, { resource, endpoints, upstream }]) => ({
      ...resource,
      id,
      endpoints: endpoints.endpoints,
      stats: upstream.stats,
    })),
  };
}

function sorted<V>(map: ReadonlyMap<string, V>): [string, V][] {
  return [...map].sort(([a], [b]) => (a < b ? -1 : 1));
}
