/** The policies that hold for a rule, or for one share of it → its stages in order, each with where it comes from. */
import type { CompiledRule, Stage } from '../pipeline/chain.ts';
import type { Timeouts } from '../snapshot/primitives.ts';
import type { PolicySection, RuleResource } from '../snapshot/resources.ts';
import type { RetrySettings } from '../snapshot/retry.ts';
import { PROTECTING } from '../snapshot/sections/fail.ts';
import { createFail } from '../stages/fail.ts';
import { placeOf, sectionOf } from '../stages/registry.ts';
import { StageError } from '../stages/stage-error.ts';
import { createTransform } from '../stages/transform.ts';
import type { ForwardOptions } from '../upstream/seam.ts';
import type { RuntimeDefaults } from './deps.ts';

/** A policy resource with the stage made of it; the stage is shared by all rules that refer to it. */
export interface PolicyPart {
  readonly config: PolicySection;
  /** Null where the section is no stage. */
  readonly stage: Stage | null;
}

/** A section that holds for a rule. */
export interface ChainSection extends PolicyPart {
  /** Id of the policy resource. */
  readonly id: string;
}

export interface ChainStage {
  readonly section: string;
  /** Id of the policy resource; null: the rule's own header edits. */
  readonly id: string | null;
  /** The rule's own header edits run with it. */
  readonly withOwn: boolean;
  readonly stage: Stage;
}

/** Every section of `ids`, in their order. `field` is where they stand in the rule. Throws StageError where one is missing or twice there. */
export function sectionsOf(
  ids: readonly string[],
  field: string,
  policy: (id: string) => PolicyPart | undefined,
): ChainSection[] {
  const seen = new Set<string>();
  return ids.map((id, index) => {
    const part = policy(id) ?? guardOf(id);
    if (part === undefined) throw new StageError(`${field}[${index}]`, `there is no ${id}, or it was rejected`);
    const section = sectionOf(part.config);
    if (seen.has(section)) throw new StageError(`${field}[${index}]`, `a second ${section} section`);
    seen.add(section);
    return { id, config: part.config, stage: part.stage };
  });
}

/**
 * What stands for a protecting section that is not there or was rejected: refuses every request. Keeping the rule as it was would leave it
 * open where the section is new. The last part of a policy's id is its section.
 */
function guardOf(id: string): PolicyPart | undefined {
  const of = id.slice(id.lastIndexOf('/') + 1);
  if (!PROTECTING.has(of)) return undefined;
  const message = 'A protection of this route could not be configured; the operator finds the reason in its status.';
  const config = { section: 'fail', of, status: 503, code: 'policy-rejected', message } as const;
  return { config, stage: createFail(config) };
}

/** In the order of the request phase. */
export function stagesOf({ headers }: RuleResource, sections: readonly ChainSection[]): ChainStage[] {
  const ownEdits = headers.request !== undefined || headers.response !== undefined;
  const placed: (ChainStage & { readonly place: number })[] = [];
  let merged = false;
  for (const { id, config, stage } of sections) {
    if (stage === null) continue;
    const place = placeOf(config);
    const section = sectionOf(config);
    if (ownEdits && config.section === 'transform') {
      placed.push({ place, section, id, withOwn: true, stage: createTransform(config, headers) });
      merged = true;
    } else {
      placed.push({ place, section, id, withOwn: false, stage });
    }
  }
  if (ownEdits && !merged) {
    const section = 'transform';
    placed.push({ place: placeOf({ section }), section, id: null, withOwn: true, stage: createTransform(headers) });
  }
  return placed.sort((a, b) => a.place - b.place);
}

export type CompiledTimeouts = Pick<
  CompiledRule,
  'requestTimeoutMs' | 'backendTimeoutMs' | 'idleTimeoutMs' | 'streamIdleTimeoutMs'
>;

export function timeoutsOf(
  { timeouts }: RuleResource,
  sections: readonly ChainSection[],
  defaults: RuntimeDefaults,
): CompiledTimeouts {
  let policy: Timeouts = {};
  for (const { config } of sections) if (config.section === 'timeout') policy = config;
  return {
    requestTimeoutMs: timeouts.requestMs ?? policy.requestMs ?? defaults.requestTimeoutMs,
    backendTimeoutMs: timeouts.backendMs ?? policy.backendMs ?? defaults.backendTimeoutMs,
    idleTimeoutMs: timeouts.idleMs ?? policy.idleMs ?? defaults.idleTimeoutMs,
    streamIdleTimeoutMs: timeouts.streamIdleMs ?? policy.streamIdleMs ?? defaults.streamIdleTimeoutMs,
  };
}

/** What forwarding takes from the sections of a rule. */
export type ForwardSettings = CompiledTimeouts & Pick<ForwardOptions, 'retry'>;

/** What the rule's requests are retried for, and where that comes from; undefined: nothing. A rule's own wins whole. */
export function retryOf(
  { retry }: RuleResource,
  sections: readonly ChainSection[],
): { readonly settings: RetrySettings; readonly id: string | null } | undefined {
  if (retry !== undefined) return { settings: retry, id: null };
  for (const { config, id } of sections) if (config.section === 'retry') return { settings: config, id };
  return undefined;
}
