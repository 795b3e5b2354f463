/**
 * Authorization: the first rule that holds decides, else the default.
 *
 * Who is refused gets 403 (RFC 9110 section 15.5.4). A caller nobody asked for credentials and who would have passed with some gets 401, but
 * only where there is a challenge to send with it (section 15.5.2). One whose token lacks nothing but scopes is told which (RFC 6750 section 3.1).
 */
import type { Explained, Stage } from '../../pipeline/chain.ts';
import type { Answer, Exchange } from '../../pipeline/exchange.ts';
import { problem } from '../../pipeline/respond.ts';
import type { AuthorizationSection } from '../../snapshot/sections/authorization.ts';
import type { StageContext } from '../context.ts';
import { StageError } from '../stage-error.ts';
import { compileRule, type Rule } from './rule.ts';

/** What the default is counted under: no name of a rule begins so. */
const DEFAULT_RULE = '_default';

export function createAuthorization(config: AuthorizationSection, context: StageContext): Stage {
  const count = (outcome: string, rule: string) => context.counter('authorization', { outcome, rule });
  const refusal = config.dryRun ? 'would-refuse' : 'refused';
  const names = new Set<string>();
  const rules = config.rules.map((rule, index) => {
    const field = `rules[${index}]`;
    if (names.has(rule.name)) throw new StageError(`${field}.name`, `a second rule called ${rule.name}`);
    names.add(rule.name);
    const errors = () => context.counter('authorization_errors', { rule: rule.name });
    const decided = count(rule.action === 'allow' ? 'allowed' : refusal, rule.name);
    return { ...compileRule(rule, field, context.epochMs, errors), decided };
  });
  const allowsByDefault = config.default === 'allow';
  const byDefault = count(allowsByDefault ? 'allowed' : refusal, DEFAULT_RULE);

  function onRequest(exchange: Exchange): Answer | undefined {
    let anonymous = false;
    let lacking: Rule | null = null;
    for (let i = 0; i < rules.length; i++) {
      const rule = rules[i] as (typeof rules)[number];
      const held = rule.ask(exchange);
      if (held === 'no') continue;
      if (held === 'yes') {
        rule.decided.value++;
        return rule.allows ? undefined : refuse(exchange, 'forbidden-rule');
      }
      if (!rule.allows) continue;
      if (held === 'anonymous') anonymous = true;
      else lacking ??= rule;
    }
    byDefault.value++;
    if (allowsByDefault) return undefined;
    if (anonymous && exchange.challenges.length > 0) return refuse(exchange, 'identity-required');
    if (lacking !== null) return refuse(exchange, 'insufficient-scope', lacking.scopes);
    return refuse(exchange, 'forbidden-default');
  }

  function refuse(exchange: Exchange, code: Code, scopes: readonly string[] = []): Answer | undefined {
    if (config.dryRun) {
      if (exchange.wouldRefuse === '') exchange.wouldRefuse = code;
      return undefined;
    }
    const { requestId, challenges } = exchange;
    if (code === 'identity-required') return problem(401, code, DETAILS[code], requestId, challenges);
    const bearer = code === 'insufficient-scope' && exchange.identity !== null && exchange.identity.scopes.length > 0;
    const challenge = `Bearer error="insufficient_scope", scope="${scopes.join(' ')}"`;
    return problem(403, code, DETAILS[code], requestId, bearer ? ['www-authenticate', challenge] : []);
  }

  function explain(exchange: Exchange): Explained {
    const decided = rules.findIndex((rule) => rule.ask(exchange) === 'yes');
    const answer = onRequest(exchange);
    const rule = rules[decided];
    const by =
      rule === undefined
        ? `no rule holds: the default is ${config.default}`
        : `rule ${config.rules[decided]?.name} ${rule.allows ? 'allows it' : 'denies it'}`;
    if (answer !== undefined)
      return { text: `${by}: ${answer.code}`, answer: { status: answer.status, code: answer.code } };
    const dry = config.dryRun && exchange.wouldRefuse !== '';
    return { text: dry ? `${by}: dry run, would refuse with ${exchange.wouldRefuse}` : by, answer: null };
  }

  return { name: 'authorization', onRequest, explain };
}

const DETAILS = {
  'forbidden-rule': 'This request is not allowed here.',
  'forbidden-default': 'This request is not allowed here.',
  'insufficient-scope': 'The credentials lack a scope that this request needs.',
  'identity-required': 'This request needs credentials.',
} as const;
type Code = keyof typeof DETAILS;
