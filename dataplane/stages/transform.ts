/** Header edits on the request and on the response: remove, then set, then add. */
import type { Stage } from '../pipeline/chain.ts';
import type { Headers } from '../pipeline/headers.ts';
import type { HeaderEdits } from '../snapshot/primitives.ts';
import { StageError } from './stage-error.ts';

export interface TransformConfig {
  readonly request?: HeaderEdits | undefined;
  readonly response?: HeaderEdits | undefined;
}

/**
 * Fields that frame or route the message: their values belong to the transports (RFC 9112 section 6, RFC 9110 section 7.6.1) and a wrong
 * one smuggles requests. The Host is changed by a rewrite.
 */
const FRAMING = new Set([
  'connection',
  'content-length',
  'host',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** The edits of each config in turn, so that the later one (the rule's own) has the last word on requests and responses. */
export function createTransform(...configs: readonly TransformConfig[]): Stage {
  const request = compileEdits(configs, 'request');
  const response = compileEdits(configs, 'response');
  return {
    name: 'transform',
    ...(request !== null && {
      onRequest: (exchange) => {
        applyEdits(request, exchange.headers);
        return undefined;
      },
    }),
    ...(response !== null && {
      onResponse: (exchange) => {
        if (exchange.responseHeaders !== null) applyEdits(response, exchange.responseHeaders);
      },
    }),
    explain: (exchange) => {
      if (request !== null) applyEdits(request, exchange.headers);
      const parts = [editText(request), ...(response === null ? [] : [`response ${editText(response)}`])];
      return { text: parts.filter((part) => part !== '').join('; ') || 'nothing', answer: null };
    },
  };
}

/** `+ x-tenant, - cookie`: names only, as values may be secrets. */
function editText(all: readonly HeaderEdits[] | null): string {
  const edits = all ?? [];
  return edits
    .flatMap(({ remove, set, add }) => [
      ...remove.map((name) => `- ${name}`),
      ...[...set, ...add].map(({ name }) => `+ ${name}`),
    ])
    .join(', ');
}

function compileEdits(
  configs: readonly TransformConfig[],
  phase: 'request' | 'response',
): readonly HeaderEdits[] | null {
  const all: HeaderEdits[] = [];
  for (const config of configs) {
    const edits = config[phase];
    if (edits === undefined || edits.remove.length + edits.set.length + edits.add.length === 0) continue;
    for (const [index, name] of edits.remove.entries()) checkName(name, `${phase}.remove[${index}]`);
    for (const [index, field] of edits.set.entries()) checkName(field.name, `${phase}.set[${index}].name`);
    for (const [index, field] of edits.add.entries()) checkName(field.name, `${phase}.add[${index}].name`);
    all.push(edits);
  }
  return all.length === 0 ? null : all;
}

function checkName(name: string, field: string): void {
  if (FRAMING.has(name)) throw new StageError(field, `${name} frames the message and can't be edited`);
}

function applyEdits(all: readonly HeaderEdits[], headers: Headers): void {
  for (const edits of all) {
    for (const name of edits.remove) headers.remove(name);
    for (const field of edits.set) headers.set(field.name, field.value);
    for (const field of edits.add) headers.add(field.name, field.value);
  }
}
