/**
 * A check written once for both places it holds: as CEL in the CRD, where the API server refuses a bad object, and as
 * TypeScript, for files, the command line and the compiler.
 */
import type { z } from 'zod';

export interface Rule<T> {
  /** An `x-kubernetes-validations` expression; `self` is the value. Absent: the CRD can't say it, the compiler does. */
  readonly cel?: string;
  /** What a person reads after the field's path: `set exactly one of exact, prefix, regex`. */
  readonly message: string;
  /** True when it holds; a string is a more precise message than `message`. */
  readonly test: (value: T) => boolean | string;
  /** Ends the other checks of the value when this one fails. */
  readonly last?: boolean;
}

/** The schema with its rules, in order. */
export function withRules<S extends z.ZodType>(schema: S, ...rules: Rule<z.output<S>>[]): S {
  let checked = schema;
  for (const rule of rules) {
    checked = checked.superRefine((value, context) => {
      const result = rule.test(value as z.output<S>);
      if (result === true) return;
      const message = typeof result === 'string' ? result : rule.message;
      context.addIssue({ code: 'custom', message, continue: rule.last !== true });
    }) as S;
  }
  const validations = rules.flatMap((rule) =>
    rule.cel === undefined ? [] : [{ rule: rule.cel, message: rule.message }],
  );
  const before = schema.meta();
  const known = (before?.[VALIDATIONS] as object[] | undefined) ?? [];
  if (before === undefined && validations.length === 0) return checked;
  return checked.meta({
    ...before,
    ...(validations.length + known.length > 0 ? { [VALIDATIONS]: [...known, ...validations] } : {}),
  }) as S;
}

/** The key of CEL rules in a structural schema. */
export const VALIDATIONS = 'x-kubernetes-validations';

/** Exactly one of these optional fields is set. */
export function exactlyOneOf<T extends object>(...names: (keyof T & string)[]): Rule<T> {
  return {
    cel: `[${names.map((name) => `has(self.${name})`).join(', ')}].filter(x, x).size() == 1`,
    message: `set exactly one of ${names.join(', ')}`,
    test: (value) => countOf(value, names) === 1,
  };
}

/** At least one of these optional fields is set. */
export function atLeastOneOf<T extends object>(...names: (keyof T & string)[]): Rule<T> {
  return {
    cel: names.map((name) => `has(self.${name})`).join(' || '),
    message: `set at least one of ${names.join(', ')}`,
    test: (value) => countOf(value, names) >= 1,
  };
}

function countOf<T extends object>(value: T, names: readonly (keyof T & string)[]): number {
  return names.filter((name) => value[name] !== undefined).length;
}
