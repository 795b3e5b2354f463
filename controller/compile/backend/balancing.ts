import type { Balancing } from '@tidegate/dataplane/snapshot/backend/balancing';
import type { BalancingSpec } from '../../api/v1alpha1/backend/balancing.ts';

export function compileBalancing(spec: BalancingSpec | undefined): Balancing {
  return { algorithm: spec?.algorithm ?? 'roundRobin' };
}
