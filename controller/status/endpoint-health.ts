/**
 * What the data planes say of the endpoints of each Backend, as its status shows it. An endpoint counts as healthy when no ready data plane
 * says otherwise: one that can't reach it is worth a look, and it is the same answer on every replica. Pure.
 */
import { endpointName } from '@tidegate/dataplane/snapshot/backend/view';
import type { ObjectOutcome } from '../model/outcome.ts';
import type { FleetMember } from '../push/fleet.ts';

export interface EndpointHealth {
  /** Endpoints that some ready data plane sends no requests to, as `address:port`. */
  readonly blocked: ReadonlySet<string>;
  /** How many there are where names are resolved by the data planes, the most any of them has found; 0: not known, or not asked. */
  readonly resolved: number;
}

/** By resource id of the backend; nothing for those that nobody has anything to say of. */
export type FleetHealth = ReadonlyMap<string, EndpointHealth>;

export const ALL_HEALTHY: FleetHealth = new Map();

export function mergeHealth(members: readonly Pick<FleetMember, 'ready' | 'health'>[]): FleetHealth {
  const merged = new Map<string, { blocked: Set<string>; resolved: number }>();
  for (const { ready, health } of members) {
    if (!ready) continue;
    for (const { backend, blocked, endpoints } of health) {
      const one = merged.get(backend) ?? { blocked: new Set<string>(), resolved: 0 };
      merged.set(backend, one);
      for (const name of blocked) one.blocked.add(name);
      one.resolved = Math.max(one.resolved, endpoints);
    }
  }
  return merged;
}

/** Ids of the backends of which the two say different things. */
export function changedHealth(before: FleetHealth, after: FleetHealth): string[] {
  const changed: string[] = [];
  for (const [id, health] of after) if (!same(before.get(id), health)) changed.push(id);
  for (const id of before.keys()) if (!after.has(id)) changed.push(id);
  return changed;
}

function same(a: EndpointHealth | undefined, b: EndpointHealth): boolean {
  return (
    a?.resolved === b.resolved &&
    a.blocked.size === b.blocked.size &&
    [...b.blocked].every((name) => a.blocked.has(name))
  );
}

/** Healthy and all, and the names of those that are ready and not healthy. Null: not known. */
export interface EndpointCount {
  readonly healthy: number;
  readonly all: number;
  readonly blocked: readonly string[];
}

export function countEndpoints({ serving }: ObjectOutcome, health: EndpointHealth | undefined): EndpointCount | null {
  if (serving === undefined) return null;
  const { endpoints, all } = serving;
  if (all !== null) {
    const names = health === undefined || health.blocked.size === 0 ? [] : endpoints.map(endpointName);
    const blocked = names.filter((name) => health?.blocked.has(name));
    return { healthy: endpoints.length - blocked.length, all, blocked };
  }
  if (health === undefined || health.resolved === 0) return null;
  const blocked = [...health.blocked].sort();
  return { healthy: Math.max(0, health.resolved - blocked.length), all: health.resolved, blocked };
}
