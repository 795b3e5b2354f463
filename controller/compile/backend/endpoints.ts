/** The endpoints of a Backend, and how those that are names are resolved. */
import { isIP } from 'node:net';
import type { EndpointsResource } from '@tidegate/dataplane/snapshot/resources';
import { durationMs } from '../../api/duration.ts';
import type { BackendModel } from '../../model/backend.ts';

const DEFAULT_MIN_TTL_MS = 1_000;
const DEFAULT_MAX_TTL_MS = 300_000;

export function compileEndpoints(id: string, { spec, endpoints, allowLocal }: BackendModel): EndpointsResource {
  const dns = spec?.dns;
  const services = dns?.records === 'srv' ? dns.name : undefined;
  const list = {
    kind: 'endpoints' as const,
    id,
    endpoints: endpoints.map(({ forZones, ...rest }) => ({ ...rest, ...(forZones && { forZones: [...forZones] }) })),
  };
  if (services === undefined && endpoints.every(({ address }) => isIP(address) !== 0)) return list;
  return {
    ...list,
    names: {
      minTtlMs: dns?.minTtl === undefined ? DEFAULT_MIN_TTL_MS : durationMs(dns.minTtl),
      maxTtlMs: dns?.maxTtl === undefined ? DEFAULT_MAX_TTL_MS : durationMs(dns.maxTtl),
      ...(services !== undefined && { services }),
      ...(allowLocal && { allowLocal }),
    },
  };
}
