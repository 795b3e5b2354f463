import { createHash } from 'node:crypto';
import type { Balancing, HashKey } from '@tidegate/dataplane/snapshot/backend/balancing';
import { durationMs } from '../../api/duration.ts';
import type { BalancingSpec } from '../../api/v1alpha1/backend/balancing.ts';

const DEFAULT_COOKIE = 'tidegate-endpoint';

/** `identity` is the Backend's own, the same for all replicas, and known to nobody outside: its uid where it has one. */
export function compileBalancing(spec: BalancingSpec | undefined, identity: string): Balancing {
  if (spec === undefined) return { algorithm: 'roundRobin' };
  const { algorithm, hash, maxLoadPercent, sticky, slowStart, preferZone } = spec;
  const slowStartMs = slowStart === undefined ? 0 : durationMs(slowStart);
  return {
    algorithm,
    ...(hash === undefined ? {} : { hash: compileHash(hash) }),
    ...(maxLoadPercent === undefined ? {} : { maxLoadPercent }),
    ...(sticky === undefined
      ? {}
      : {
          sticky: {
            cookie: sticky.cookie ?? DEFAULT_COOKIE,
            ttlMs: sticky.ttl === undefined ? 0 : durationMs(sticky.ttl),
            path: sticky.path ?? '/',
            key: createHash('sha256').update(`sticky ${identity}`).digest('base64url'),
          },
        }),
    ...(slowStartMs === 0 ? {} : { slowStartMs }),
    ...(preferZone === true ? { preferZone } : {}),
  };
}

function compileHash({ header, cookie, query }: NonNullable<BalancingSpec['hash']>): HashKey {
  if (header !== undefined) return { by: 'header', name: header.toLowerCase() };
  if (cookie !== undefined) return { by: 'cookie', name: cookie };
  return query === undefined ? { by: 'address' } : { by: 'query', name: query };
}
