/** The running configuration as /debug/config shows it. */
import type { Balancing } from '../snapshot/backend/balancing.ts';
import type { Rejection } from '../snapshot/decode.ts';
import type { RuleResource } from '../snapshot/resources.ts';
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
  readonly tls: readonly unknown[];
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
      effective: effectiveOf(compiled.resource.policies, ledger),
      ...sharesOf(compiled.resource, ledger),
      refused: answersPreflight === null,
      routed: routable !== null,
      effectiveTimeouts: {
        requestMs: compiled.requestTimeoutMs,
        backendMs: compiled.backendTimeoutMs,
        idleMs: compiled.idleTimeoutMs,
        streamIdleMs: compiled.streamIdleTimeoutMs,
      },
    })),
    policies: sorted(ledger.policies).map(([id, { resource }]) => ({
      id,
      source: resource.source,
      config: describeSection(resource.config),
    })),
    backends: sorted(ledger.backends).map(([id, { resource, endpoints, upstream }]) => ({
      ...resource,
      id,
      balancing: withoutKey(resource.balancing),
      endpoints: endpoints.endpoints,
      stats: upstream.stats,
      states: upstream.states(),
    })),
    tls: sorted(ledger.tls).map(([id, { resource, context, upstream, notAfterMs }]) => ({
      id,
      hosts: resource.hosts,
      action: resource.action,
      refuses: context === null && upstream === null,
      ...(notAfterMs > 0 && { notAfter: new Date(notAfterMs).toISOString() }),
    })),
  };
}

/** What keeps sticky cookies from telling addresses is nobody's to see. */
function withoutKey({ sticky, ...rest }: Balancing): unknown {
  if (sticky === undefined) return rest;
  const { key: _, ...shown } = sticky;
  return { ...rest, sticky: shown };
}

/** Where a section that holds comes from. */
interface EffectiveSection {
  /** `<namespace>/<name>` */
  readonly policy: string;
  /** It could not be built, so its requests are refused. */
  readonly refuses?: true;
}

/** By section, in the order of the ids. A policy's id is `policy/<namespace>/<name>/<section>`. */
function effectiveOf(ids: readonly string[], ledger: Ledger): Record<string, EffectiveSection> {
  const sections: Record<string, EffectiveSection> = {};
  for (const id of ids) {
    const [, namespace, name, section = id] = id.split('/');
    const config = ledger.policies.get(id)?.resource.config;
    const refuses = config === undefined || config.section === 'fail';
    sections[section] = { policy: `${namespace}/${name}`, ...(refuses && { refuses }) };
  }
  return sections;
}

/** Of the backends for which other policies hold than for the rule. */
function sharesOf({ action }: RuleResource, ledger: Ledger): { shares?: unknown[] } {
  const backends = action.kind === 'forward' ? action.backends : [];
  const shares = backends.flatMap(({ backend, weight, policies }) =>
    policies === undefined ? [] : [{ backend, weight, effective: effectiveOf(policies, ledger) }],
  );
  return shares.length === 0 ? {} : { shares };
}

function sorted<V>(map: ReadonlyMap<string, V>): [string, V][] {
  return [...map].sort(([a], [b]) => (a < b ? -1 : 1));
}
