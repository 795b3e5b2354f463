/** Rate limits, from how a user writes them to how a data plane runs them. */
import type { LimitConfig, LimitCost, LimitKeyPart } from '@tidegate/dataplane/snapshot/sections/rate-limit';
import { durationMs } from '../../api/duration.ts';
import type { LimitSpec } from '../../api/v1alpha1/sections/rate-limit.ts';
import type { SectionSpec } from '../../model/policy.ts';
import type { Compiled } from './compile.ts';

type KeySpec = NonNullable<LimitSpec['key']>[number];
type OverrideSpec = NonNullable<LimitSpec['overrides']>[number];

export function compileRateLimit(spec: SectionSpec<'rateLimit'>): Compiled<'rateLimit'> {
  return { section: 'rateLimit', limits: spec.limits.map(compileLimit), responseFields: spec.responseFields };
}

function compileLimit(spec: LimitSpec): LimitConfig {
  const { name, algorithm, limit, burst, scope, store, mode, onStoreFailure, dryRun } = spec;
  return {
    ...{ name, algorithm, limit, scope, store, mode, onStoreFailure, dryRun },
    ...windowOf(spec),
    ...(burst === undefined ? {} : { burst }),
    key: (spec.key ?? []).map(compileKey),
    cost: compileCost(spec.cost),
    overrides: (spec.overrides ?? []).map(compileOverride),
  };
}

function compileOverride(spec: OverrideSpec): LimitConfig['overrides'][number] {
  const { consumers = [], groups = [], limit, burst } = spec;
  return { consumers, groups, limit, ...windowOf(spec), ...(burst === undefined ? {} : { burst }) };
}

function windowOf({ window }: { window?: string | undefined }): { windowMs?: number } {
  return window === undefined ? {} : { windowMs: durationMs(window) };
}

function compileKey({ by, name = '', prefixV4 = 32, prefixV6 = 64 }: KeySpec): LimitKeyPart {
  switch (by) {
    case 'address':
      return { by, prefixV4, prefixV6 };
    case 'claim':
      return { by, name };
    case 'header':
      return { by, name: name.toLowerCase() };
    default:
      return { by };
  }
}

function compileCost(spec: LimitSpec['cost']): LimitCost {
  if (spec?.requestHeader !== undefined)
    return { from: 'requestHeader', ...spec.requestHeader, name: spec.requestHeader.name.toLowerCase() };
  if (spec?.responseHeader !== undefined)
    return { from: 'responseHeader', ...spec.responseHeader, name: spec.responseHeader.name.toLowerCase() };
  return { from: 'fixed', amount: spec?.fixed ?? 1 };
}
