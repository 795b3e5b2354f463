/**
 * What would become of a request, and why: routed like any other, then each section is asked to explain itself, in order, up to the first that
 * answers. Nothing is forwarded and no exchange is begun. Loaded when somebody first asks.
 */
import { messageOf } from '../../errors.ts';
import type { RuleSlot } from '../../pipeline/chain.ts';
import type { Exchange } from '../../pipeline/exchange.ts';
import type { ExplainedSection, Explanation } from '../../snapshot/explain.ts';
import type { RuleResource, WeightedBackend } from '../../snapshot/resources.ts';
import type { Trouble } from '../../telemetry/trouble.ts';
import type { RulePart } from '../compile-rule.ts';
import type { RuntimeDefaults } from '../deps.ts';
import type { Ledger } from '../ledger.ts';
import { type ChainSection, type ChainStage, retryOf, sectionsOf, stagesOf, timeoutsOf } from '../rule-chain.ts';
import { chooseShare, explainBackends, explainEnding, rewritten } from './ending.ts';
import { retryText } from './retry.ts';
import { explainRouting } from './routing.ts';
import { explainShaping, splitShare } from './shaping.ts';

export interface ExplainContext {
  readonly revision: string;
  readonly ledger: Ledger;
  readonly troubles: readonly Trouble[];
  readonly defaults: RuntimeDefaults;
  /** What the router answers for the exchange. */
  readonly match: { readonly target: Readonly<RuleSlot>; readonly matchedPrefix: string } | null;
  /** See ExplainRequest. */
  readonly backend: string | undefined;
}

type Answered = Explanation['answer'];

/** The exchange must be one of its own: stages edit it. */
export async function explain(exchange: Exchange, context: ExplainContext): Promise<Explanation> {
  const { ledger, match } = context;
  const { method, host, path, clientAddress: client } = exchange;
  const { why, ...others } = explainRouting(ledger.rules.values(), exchange, match?.target ?? null);
  const base = { revision: context.revision, request: { method, host, path, client }, ...others };
  const part = match === null ? undefined : ledger.rules.get(match.target.rule.id);
  if (match === null || part === undefined) {
    const detail = 'no rule takes this host, path and method';
    const answer = { status: 404, code: 'no-route', detail, by: 'routing' };
    return { ...base, rule: null, sections: [], answer, backends: [] };
  }
  exchange.rule = match.target.rule;
  exchange.matchedPrefix = match.matchedPrefix;
  exchange.headers.set('x-request-id', exchange.requestId);
  const { resource } = part.compiled;
  const trouble = ledger.rejected.get(resource.id)?.message ?? '';
  const rule = { route: `${resource.namespace}/${resource.route}`, rule: resource.rule, why, trouble };
  const { action } = resource;
  const chosen =
    action.kind === 'forward'
      ? ((context.backend === undefined ? splitShare(resource, exchange) : undefined) ??
        chooseShare(action, context.backend))
      : undefined;
  const { sections, answer } = refusedWhole(part) ?? (await explainSections(resource, chosen, exchange, context));
  return {
    ...base,
    rule,
    sections,
    answer: answer ?? explainEnding(action, chosen, exchange),
    backends: explainBackends(action, chosen, ledger),
  };
}

interface Told {
  readonly sections: readonly ExplainedSection[];
  readonly answer: Answered;
}

/** A rule that never could be built. */
function refusedWhole({ answersPreflight }: RulePart): Told | null {
  if (answersPreflight !== null) return null;
  const detail = 'the rule could not be built, and there is no version of it from before';
  return { sections: [], answer: { status: 503, code: 'route-rejected', detail, by: 'rule' } };
}

async function explainSections(
  resource: RuleResource,
  chosen: WeightedBackend | undefined,
  exchange: Exchange,
  { ledger, troubles, defaults }: ExplainContext,
): Promise<Told> {
  const all = sectionsOf(chosen?.policies ?? resource.policies, 'policies', (id) => ledger.policies.get(id));
  const told: ExplainedSection[] = [];
  for (const stage of stagesOf(resource, all)) {
    const { text, answer } = await explainStage(stage, exchange);
    const trouble = troubles.find(({ id }) => id === stage.id) ?? ledger.rejected.get(stage.id ?? '');
    const notes = [text, ...(trouble === undefined ? [] : [`in trouble: ${trouble.message}`])];
    told.push({ section: stage.section, source: sourceOf(stage), text: notes.join('; ') });
    if (answer !== null) return { sections: told, answer: { ...answer, detail: text, by: stage.section } };
  }
  told.push(...timeoutLines(resource, all, defaults), ...retryLines(resource, all));
  const changed = rewritten(resource.action, exchange);
  if (changed !== '') told.push({ section: 'rewrite', source: 'rule', text: changed });
  told.push(...explainShaping(resource.action, ledger));
  return { sections: told, answer: null };
}

async function explainStage({ stage }: ChainStage, exchange: Exchange) {
  if (stage.explain === undefined) return { text: 'holds, and does not say what it would do', answer: null };
  try {
    return await stage.explain(exchange);
  } catch (error) {
    return { text: `fails: ${messageOf(error)}`, answer: { status: 500, code: 'internal-error' } };
  }
}

function sourceOf({ id, withOwn }: ChainStage): string {
  if (id === null) return 'rule';
  const [, namespace, name] = id.split('/');
  return withOwn ? `${namespace}/${name} and rule` : `${namespace}/${name}`;
}

/** Nothing where nobody says anything of time. */
function timeoutLines(
  resource: RuleResource,
  sections: readonly ChainSection[],
  defaults: RuntimeDefaults,
): ExplainedSection[] {
  const policy = sections.find(({ config }) => config.section === 'timeout');
  const own = Object.values(resource.timeouts).some((ms) => ms !== undefined);
  if (policy === undefined && !own) return [];
  const { requestTimeoutMs, backendTimeoutMs, idleTimeoutMs, streamIdleTimeoutMs } = timeoutsOf(
    resource,
    sections,
    defaults,
  );
  const show = (ms: number) => (ms === 0 ? 'off' : ms % 1000 === 0 ? `${ms / 1000} s` : `${ms} ms`);
  const [, namespace, name] = policy?.id.split('/') ?? [];
  const source = policy === undefined ? 'rule' : `${namespace}/${name}${own ? ' and rule' : ''}`;
  const text = `request ${show(requestTimeoutMs)}, backend ${show(backendTimeoutMs)}, idle ${show(idleTimeoutMs)} (streams ${show(streamIdleTimeoutMs)})`;
  return [{ section: 'timeout', source, text }];
}

function retryLines(resource: RuleResource, sections: readonly ChainSection[]): ExplainedSection[] {
  const retry = resource.action.kind === 'forward' ? retryOf(resource, sections) : undefined;
  if (retry === undefined) return [];
  const [, namespace, name] = retry.id?.split('/') ?? [];
  return [
    {
      section: 'retry',
      source: retry.id === null ? 'rule' : `${namespace}/${name}`,
      text: retryText(retry.settings),
    },
  ];
}
