/** Problems as conditions (Gateway API, GEP-1364): Accepted and ResolvedRefs always, PartiallyInvalid where a part is lost. */
import type { Problem, ProblemReason } from '../api/problem.ts';
import type { DesiredCondition } from './outcome.ts';

const REFERENCE_REASONS: ReadonlySet<ProblemReason> = new Set([
  'BackendNotFound',
  'BackendInvalid',
  'ServiceNotFound',
  'PortNotFound',
  'ServiceUnsupported',
  'SecretNotFound',
  'SecretInvalid',
  'CertificateNotFound',
  'InvalidCertificate',
]);

/** The most a condition's message may hold is 32 Ki characters; a person reads fewer. */
const SHOWN = 5;

/** `serves`: whether anything of the object takes effect in spite of the problems that concern acceptance. */
export function conditionsOf(problems: readonly Problem[], serves: boolean): DesiredCondition[] {
  const references = problems.filter((problem) => REFERENCE_REASONS.has(problem.reason));
  const others = problems.filter((problem) => !REFERENCE_REASONS.has(problem.reason));
  const refused = others.length > 0 && !serves;
  const conditions: DesiredCondition[] = [
    refused
      ? broken('Accepted', 'False', others)
      : { type: 'Accepted', status: 'True', reason: 'Accepted', message: '' },
  ];
  // A missing target is a reference too: GEP-713 has it on Accepted, and a reader looks for it on either.
  const missing = [...references, ...others.filter((problem) => problem.reason === 'TargetNotFound')];
  conditions.push(
    missing.length > 0
      ? broken('ResolvedRefs', 'False', missing)
      : { type: 'ResolvedRefs', status: 'True', reason: 'ResolvedRefs', message: '' },
  );
  if (others.length > 0 && serves) conditions.push(broken('PartiallyInvalid', 'True', others));
  return conditions;
}

/** The reason a person should see first: for the Reason column. Empty when all is well. */
export function firstReason(conditions: readonly { type: string; status: string; reason?: string }[]): string {
  const bad = (type: string, status: string) =>
    conditions.find((condition) => condition.type === type && condition.status === status)?.reason;
  return (
    bad('Accepted', 'False') ??
    bad('ResolvedRefs', 'False') ??
    bad('PartiallyInvalid', 'True') ??
    bad('Programmed', 'False') ??
    bad('Programmed', 'Unknown') ??
    ''
  );
}

function broken(
  type: DesiredCondition['type'],
  status: 'True' | 'False',
  problems: readonly Problem[],
): DesiredCondition {
  const lines = problems.slice(0, SHOWN).map(({ path, message }) => (path === '' ? message : `${path}: ${message}`));
  if (problems.length > SHOWN) lines.push(`and ${problems.length - SHOWN} more`);
  return { type, status, reason: problems[0]?.reason ?? 'Invalid', message: lines.join('; ') };
}
