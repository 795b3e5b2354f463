/** The difference between the status an object has and the one it should have, as what is written. Pure. */
import { isDeepStrictEqual } from 'node:util';
import type { DesiredStatus } from './board.ts';
import type { StatusCondition } from './programmed.ts';

/** `metav1.Condition` */
export interface HeldCondition extends StatusCondition {
  readonly observedGeneration?: number;
  readonly lastTransitionTime?: string;
}

export interface StatusPatch {
  /** The whole of `status.conditions`: a merge patch replaces lists. */
  readonly status: Readonly<Record<string, unknown>> & { readonly conditions: readonly HeldCondition[] };
  /** Conditions that tell of a problem that the held status did not tell of, worst first. */
  readonly news: readonly StatusCondition[];
  /** Nothing of the conditions changes: a column of `kubectl get` that may move often. */
  readonly columnsOnly: boolean;
}

/** The condition types that are ours: another controller's stay as they are. */
const OURS: ReadonlySet<string> = new Set(['Accepted', 'ResolvedRefs', 'PartiallyInvalid', 'Programmed']);

/**
 * Null when nothing has to be written. `lastTransitionTime` changes only with `status` (metav1.Condition): otherwise a
 * watcher of the object, this controller among them, would be woken for nothing, over and over.
 */
export function statusPatch(held: unknown, desired: DesiredStatus, now: string): StatusPatch | null {
  const heldConditions = conditionsOf(held);
  const conditions: HeldCondition[] = heldConditions.filter(({ type }) => !OURS.has(type));
  const news: StatusCondition[] = [];
  for (const wanted of desired.conditions) {
    const before = heldConditions.find(({ type }) => type === wanted.type);
    const since = before?.status === wanted.status ? before.lastTransitionTime : undefined;
    conditions.push({ ...wanted, observedGeneration: desired.generation, lastTransitionTime: since ?? now });
    if (isProblem(wanted) && !sameProblem(before, wanted)) news.push(wanted);
  }
  const fields = fieldsPatch(held, desired.fields);
  const columnsOnly = sameConditions(heldConditions, conditions);
  if (fields === null && columnsOnly) return null;
  const lost = lostEndpoints(held, desired);
  if (lost !== null) news.push(lost);
  return { status: { ...fields, conditions }, news, columnsOnly };
}

/** Whether the held status says Programmed=True of this generation: then a passing doubt is worth a longer wait. */
export function heldProgrammed(held: unknown, generation: number): boolean {
  const condition = conditionsOf(held).find(({ type }) => type === 'Programmed');
  return condition?.status === 'True' && condition.observedGeneration === generation;
}

/** Null when all are held; a field that is no longer wanted is set to null, which a merge patch removes. */
function fieldsPatch(held: unknown, wanted: Readonly<Record<string, string>>): Record<string, string | null> | null {
  const before = record(held);
  const patch: Record<string, string | null> = {};
  for (const [name, value] of Object.entries(wanted)) if (before[name] !== value) patch[name] = value;
  for (const name of Object.keys(before)) if (name !== 'conditions' && !(name in wanted)) patch[name] = null;
  return Object.keys(patch).length === 0 ? null : patch;
}

/** Not a condition of the object, only an Event: its Backend has no healthy endpoint any more. */
function lostEndpoints(held: unknown, { fields }: DesiredStatus): StatusCondition | null {
  const before = Number.parseInt(String(record(held).endpoints), 10);
  const { endpoints = '' } = fields;
  if (!(before > 0) || !/^0\/[1-9]/.test(endpoints)) return null;
  const message = `none of its endpoints is healthy (${endpoints})`;
  return { type: 'Endpoints', status: 'False', reason: 'NoHealthyEndpoint', message };
}

function sameConditions(held: readonly HeldCondition[], wanted: readonly HeldCondition[]): boolean {
  if (held.length !== wanted.length) return false;
  const byType = new Map(held.map((condition) => [condition.type, condition]));
  return wanted.every((condition) => isDeepStrictEqual(byType.get(condition.type), condition));
}

function isProblem({ type, status, reason }: StatusCondition): boolean {
  if (reason === 'Pending' || reason === 'NoDataPlane') return false;
  return type === 'PartiallyInvalid' ? status === 'True' : status === 'False';
}

function sameProblem(before: StatusCondition | undefined, wanted: StatusCondition): boolean {
  return before?.status === wanted.status && before.reason === wanted.reason && before.message === wanted.message;
}

function conditionsOf(status: unknown): HeldCondition[] {
  const { conditions } = record(status);
  if (!Array.isArray(conditions)) return [];
  return conditions.filter((one): one is HeldCondition => typeof record(one).type === 'string');
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}
