/** What /debug/config may show of a rule: never a value that may be a secret. */
import type { HeaderEdits } from '../snapshot/primitives.ts';
import type { Action, RuleResource } from '../snapshot/resources.ts';

export function describeRule(rule: RuleResource): unknown {
  const { kind: _kind, action, headers, ...rest } = rule;
  const edits = { request: describeEdits(headers.request), response: describeEdits(headers.response) };
  return { ...rest, action: describeAction(action), headers: edits };
}

function describeAction(action: Action): unknown {
  const sized = <A extends { readonly body: string }>(answer: A) => ({
    ...answer,
    body: `${Buffer.byteLength(answer.body)} bytes`,
  });
  if (action.kind === 'respond') return sized(action);
  if (action.kind !== 'forward' || action.fallback?.respond === undefined) return action;
  return { ...action, fallback: { ...action.fallback, respond: sized(action.fallback.respond) } };
}

/** For /debug/config. Names only: values of header fields are where credentials for backends are put. */
export function describeEdits(edits: HeaderEdits | undefined): unknown {
  if (edits === undefined) return undefined;
  return {
    remove: edits.remove,
    set: edits.set.map((field) => field.name),
    add: edits.add.map((field) => field.name),
  };
}
