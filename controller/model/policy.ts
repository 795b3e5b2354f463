/** A Policy, validated section by section. Pure: one object in, one model out; what it holds for is policy-table.ts. */
import { PROTECTING } from '@tidegate/dataplane/snapshot/sections/fail';
import type { ObjectRef, Problem } from '../api/problem.ts';
import {
  type PolicySpec,
  policySections,
  policySpec,
  SECTION_NAMES,
  type SectionName,
  type TargetRef,
  targetRef,
} from '../api/v1alpha1/policy.ts';
import { check, validateSpec } from '../api/validate.ts';
import { refOf, type TidegateObject } from '../store/objects.ts';
import { createdAtMs } from './route.ts';

export type SectionSpec<S extends SectionName> = NonNullable<PolicySpec[S]>;

/** `spec` is null where the section does not validate: kept only of sections that protect, which then refuse their requests. */
export type SectionConfig = {
  readonly [S in SectionName]: { readonly section: S; readonly spec: SectionSpec<S> | null };
}[SectionName];

export interface PolicyModel {
  readonly kind: 'Policy';
  readonly ref: ObjectRef;
  readonly uid: string | undefined;
  readonly generation: number;
  readonly createdAtMs: number;
  readonly enforce: boolean;
  /** Valid ones, with their place in spec.targetRefs. */
  readonly targets: readonly { readonly index: number; readonly target: TargetRef }[];
  /** Valid ones, and protecting ones in any case. What does not protect is left out when invalid: requests are served without it. */
  readonly sections: readonly SectionConfig[];
  readonly problems: readonly Problem[];
}

export function modelPolicy(object: TidegateObject): PolicyModel {
  const ref = refOf(object);
  const raw = object.spec;
  const base = {
    kind: 'Policy' as const,
    ref,
    uid: object.metadata.uid,
    generation: object.metadata.generation ?? 0,
    createdAtMs: createdAtMs(object),
  };
  const whole = check(policySpec, raw);
  const spec: Record<string, unknown> = whole.value ?? (typeof raw === 'object' && raw !== null ? { ...raw } : {});
  const targets = (Array.isArray(spec.targetRefs) ? spec.targetRefs : []).slice(0, MAX_TARGETS);
  const sections = SECTION_NAMES.flatMap((section) => {
    if (spec[section] === undefined) return [];
    // Defaults were filled in by the check of the whole; checking the part again changes nothing.
    const { value } = check(policySections[section], spec[section]);
    if (value === undefined) return PROTECTING.has(section) ? [{ section, spec: null } as SectionConfig] : [];
    return [{ section, spec: value } as SectionConfig];
  });
  return {
    ...base,
    enforce: spec.enforce === true,
    targets: targets.flatMap((item, index) => {
      const { value } = check(targetRef, item);
      return value === undefined ? [] : [{ index, target: value }];
    }),
    sections,
    problems: whole.value === undefined ? validateSpec(ref, raw) : [],
  };
}

const MAX_TARGETS = 16;
