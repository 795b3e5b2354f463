import type { Health } from '@tidegate/dataplane/snapshot/backend/health';
import type { HealthSpec } from '../../api/v1alpha1/backend/health.ts';
import { compileActiveHealth } from './active-health.ts';
import { compilePassiveHealth } from './passive-health.ts';

const DEFAULT_PANIC_PERCENT = 50;

export function compileHealth(spec: HealthSpec): Health {
  return {
    ...(spec.active === undefined ? {} : { active: compileActiveHealth(spec.active) }),
    ...(spec.passive === undefined ? {} : { passive: compilePassiveHealth(spec.passive) }),
    panicPercent: spec.panicPercent ?? DEFAULT_PANIC_PERCENT,
  };
}
