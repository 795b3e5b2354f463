/** What /debug/config may show of a policy or a rule: never a value that may be a secret. Exhaustive, so that a new section decides too. */
import type { Action, HeaderEdits, PolicySection, RuleResource } from '../snapshot/resources.ts';

export function describeSection(config: PolicySection): unknown {
  switch (config.section) {
    case 'cors':
    case 'timeout':
    case 'fail':
      return config;
    case 'transform':
      return { section: 'transform', request: describeEdits(config.request), response: describeEdits(config.response) };
    default:
      return unknownSection(config);
  }
}

export function describeRule(rule: RuleResource): unknown {
  const { kind: _kind, action, headers, ...rest } = rule;
  const edits = { request: describeEdits(headers.request), response: describeEdits(headers.response) };
  return { ...rest, action: describeAction(action), headers: edits };
}

function describeAction(action: Action): unknown {
  return action.kind === 'respond' ? { ...action, body: `${Buffer.byteLength(action.body)} bytes` } : action;
}

/** Names only: values of header fields are where credentials for backends are put. */
function describeEdits(edits: HeaderEdits | undefined): unknown {
  if (edits === undefined) return undefined;
  return {
    remove: edits.remove,
    set: edits.set.map((field) => field.name),
    add: edits.add.map((field) => field.name),
  };
}

function unknownSection(config: never): never {
  throw new TypeError(`no description for ${JSON.stringify(config)}`);
}
