/** How much of its weight each endpoint keeps where those of the data plane's own zone come first. Pure. */
import { OVERPROVISIONING } from './tiers.ts';

export interface Zoned {
  /** Undefined: not known, which is a zone like any other. */
  readonly zone: string | undefined;
  /** Zones it is meant for (EndpointSlice hints); undefined: none are given. */
  readonly forZones: readonly string[] | undefined;
  readonly weight: number;
  readonly serves: boolean;
}

/**
 * Factors from 0 to 1 on the weights of the endpoints that serve; null where the zone makes no difference.
 *
 * - Hints, where every endpoint has some and at least one of those that serve is meant for `own`: these get everything, as long as at
 *   least 1 / 1.4 = 71 % of what is meant for it serves; below that the rest spills over to all others.
 * - Otherwise each of the Z zones in which endpoints serve is taken to send 1/Z of the requests (a data plane does not know where the others
 *   are). Are the own zone's endpoints at least 1/Z of the weight, they get everything. Are they a smaller part c, they get c × Z of it, so that
 *   each carries the mean of all; the rest goes to the zones that have more than 1/Z, in proportion to what they have more (Envoy's
 *   zone-aware routing with equal zones of origin).
 */
export function zoneFactors(endpoints: readonly Zoned[], own: string): number[] | null {
  return hinted(endpoints, own) ?? byShare(endpoints, own);
}

function hinted(endpoints: readonly Zoned[], own: string): number[] | null {
  if (!endpoints.every(({ forZones }) => forZones !== undefined && forZones.length > 0)) return null;
  const meant = endpoints.map(({ forZones }) => forZones?.includes(own) === true);
  const all = weightOf(endpoints, (_, i) => meant[i] === true);
  const serving = weightOf(endpoints, ({ serves }, i) => serves && meant[i] === true);
  const others = weightOf(endpoints, ({ serves }, i) => serves && meant[i] === false);
  if (serving === 0) return null;
  const share = Math.min(1, (OVERPROVISIONING * serving) / all);
  const spill = others === 0 ? 0 : factorFor(1 - share, others, share, serving);
  return meant.map((here) => (here ? 1 : spill));
}

function byShare(endpoints: readonly Zoned[], own: string): number[] | null {
  const weights = new Map<string, number>();
  for (const { zone = '', weight, serves } of endpoints) {
    if (serves) weights.set(zone, (weights.get(zone) ?? 0) + weight);
  }
  const local = weights.get(own);
  if (local === undefined || weights.size === 1) return null;
  const total = [...weights.values()].reduce((sum, weight) => sum + weight, 0);
  const even = total / weights.size;
  if (local >= even) return endpoints.map(({ zone }) => (zone === own ? 1 : 0));
  const share = local / even;
  const surplus = [...weights.values()].reduce((sum, weight) => sum + Math.max(0, weight - even), 0);
  return endpoints.map(({ zone = '' }) => {
    if (zone === own) return 1;
    const weight = weights.get(zone) ?? 0;
    if (weight <= even) return 0;
    return factorFor(((1 - share) * (weight - even)) / surplus, weight, share, local);
  });
}

/** The factor that gives endpoints of this weight `share` of all, where others of weight `base`, unchanged, get `baseShare`. */
function factorFor(share: number, weight: number, baseShare: number, base: number): number {
  return (share / weight) * (base / baseShare);
}

function weightOf(endpoints: readonly Zoned[], counts: (one: Zoned, i: number) => boolean): number {
  return endpoints.reduce((sum, one, i) => (counts(one, i) ? sum + one.weight : sum), 0);
}
