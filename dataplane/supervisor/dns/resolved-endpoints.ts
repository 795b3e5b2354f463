/** The endpoints behind names that are resolved. Pure. */
import { isIP } from 'node:net';
import { endpointName } from '../../snapshot/backend/view.ts';
import { isLocalAddress } from '../../snapshot/local-address.ts';
import type { Endpoint, EndpointNames } from '../../snapshot/resources.ts';
import type { ServiceRecord } from './answer.ts';

/** What is known of names; `undefined`: nothing yet. */
export interface KnownNames {
  addresses(name: string): readonly string[] | undefined;
  services(name: string): readonly ServiceRecord[] | undefined;
}

/** Of one backend; of more, the first by order. */
const MAX_ENDPOINTS = 1024;
/** The contract's own bounds of an endpoint. */
const MAX_WEIGHT = 1000;
const MAX_PRIORITY = 15;

/** Endpoints that share one weight. */
interface Group {
  readonly of: Endpoint;
  /** Relative to that of the others. */
  readonly weight: number;
  readonly addresses: readonly string[];
}

/**
 * Sorted by address, then port, each once. All addresses of a name share its weight. A name of which nothing is known yet stays a name,
 * and is connected to as such. Priorities of SRV records become their rank: 0, 1, … .
 */
export function resolvedEndpoints(
  sent: readonly Endpoint[],
  names: EndpointNames | undefined,
  known: KnownNames,
): Endpoint[] {
  const allowed = (address: string): boolean => names?.allowLocal === true || !isLocalAddress(address);
  const addressesOf = (name: string): readonly string[] =>
    isIP(name) !== 0 ? [name] : (known.addresses(name)?.filter(allowed) ?? [name]);
  const groups = sent.map((of): Group => ({ of, weight: of.weight, addresses: addressesOf(of.address) }));
  const records = names?.services === undefined ? [] : (known.services(names.services) ?? []);
  const priorities = [...new Set(records.map(({ priority }) => priority))].sort((a, b) => a - b);
  for (const { target, port, priority, weight } of records) {
    const rank = Math.min(MAX_PRIORITY, priorities.indexOf(priority));
    const address = isIP(target) === 0 ? `${target}.` : target;
    const of = { address, port, weight: 1, ...(rank > 0 && { priority: rank }) };
    const addresses = isIP(target) === 0 ? addressesOf(address) : [target].filter(allowed);
    // All of weight 0: no preference (RFC 2782).
    groups.push({ of, weight: weight === 0 && records.every((one) => one.weight === 0) ? 1 : weight, addresses });
  }
  const unique = new Map<string, Endpoint>();
  for (const endpoint of weighted(groups).sort(byContent)) {
    const name = endpointName(endpoint);
    if (!unique.has(name)) unique.set(name, endpoint);
  }
  return [...unique.values()].slice(0, MAX_ENDPOINTS);
}

/** Names to be looked up, as they stand in `addresses` and `services`. */
export function namesIn(
  sent: readonly Endpoint[],
  names: EndpointNames | undefined,
  known: KnownNames,
): { readonly addresses: ReadonlySet<string>; readonly services: string | undefined } {
  const services = names?.services;
  const targets = services === undefined ? [] : (known.services(services) ?? []);
  const all = [...sent.map(({ address }) => address), ...targets.map(({ target }) => `${target}.`)];
  return { addresses: new Set(all.filter((name) => isIP(name.replace(/\.$/, '')) === 0)), services };
}

/** Each group's weight shared out among its addresses, as whole numbers 1 to 1000 in the same proportions, as near as they get. */
function weighted(groups: readonly Group[]): Endpoint[] {
  const filled = groups.filter(({ addresses }) => addresses.length > 0);
  const shares = filled.map(({ weight, addresses }) => weight / addresses.length);
  const scale = scaleOf(filled, Math.max(0, ...shares));
  return filled.flatMap(({ of, addresses }, i) => {
    const weight = Math.max(1, Math.round((shares[i] ?? 0) * scale));
    const named = isIP(of.address) === 0;
    return addresses.map((address) => ({
      ...of,
      address,
      weight,
      ...(named && address !== of.address && { hostName: of.address }),
    }));
  });
}

/** What makes all shares whole numbers, or where that would be too many, the largest of them 1000. */
function scaleOf(groups: readonly Group[], largest: number): number {
  let common = 1;
  for (const { addresses } of groups) {
    common = (common * addresses.length) / divisor(common, addresses.length);
    if (common * largest > MAX_WEIGHT) return MAX_WEIGHT / largest;
  }
  // The least such numbers: as long as all names have as many addresses, weights are those given.
  const whole = groups.map(({ weight, addresses }) => Math.round((weight / addresses.length) * common));
  const given = groups.every(({ addresses }) => addresses.length === groups[0]?.addresses.length);
  return given ? (groups[0]?.addresses.length ?? 1) : common / Math.max(1, whole.reduce(divisor, 0));
}

function divisor(a: number, b: number): number {
  return b === 0 ? a : divisor(b, a % b);
}

function byContent(a: Endpoint, b: Endpoint): number {
  return (
    compare(a.address, b.address) ||
    a.port - b.port ||
    (a.priority ?? 0) - (b.priority ?? 0) ||
    b.weight - a.weight ||
    compare(a.zone ?? '', b.zone ?? '')
  );
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
