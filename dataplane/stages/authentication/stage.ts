/**
 * Authentication: asks the methods, composes what they find, tells the backend who calls.
 *
 * An alternative holds when all its methods vouch; the first that holds decides. A method is asked at most once a request. Where none holds:
 * what can't be told is 503, a bad credential is what its method says, no credential at all is 401 (or goes on where `optional`). A request
 * with a bad credential never passes as one without.
 */
import type { Explained, Stage } from '../../pipeline/chain.ts';
import type { Answer, Exchange } from '../../pipeline/exchange.ts';
import type { Identity } from '../../pipeline/identity.ts';
import { detailOf, problem } from '../../pipeline/respond.ts';
import type { AuthenticationSection } from '../../snapshot/sections/authentication.ts';
import type { StageContext } from '../context.ts';
import { StageError } from '../stage-error.ts';
import { closeAll, createMethods } from './create-methods.ts';
import { EXPLAINED, type Finding, type Method, type Vouched } from './method.ts';

export function createAuthentication(config: AuthenticationSection, context: StageContext): Stage {
  const methods = createMethods(config.methods, context);
  try {
    return compose(config, methods, context);
  } catch (error) {
    closeAll(methods);
    throw error;
  }
}

/** `methods` are those of the configuration, in its order. Throws StageError where `anyOf` does not name them all. */
export function compose(
  config: Pick<AuthenticationSection, 'anyOf' | 'optional' | 'consumerHeader' | 'groupsHeader'>,
  methods: readonly Method[],
  context: Pick<StageContext, 'counter'>,
): Stage {
  const alternatives = alternativesOf(config, methods);
  const { consumerHeader, groupsHeader } = config;
  const dropped = [...new Set([consumerHeader, groupsHeader, ...methods.flatMap(({ writes }) => writes)])].filter(
    (name) => name !== '',
  );
  const strippers = methods.flatMap(({ strip }) => (strip === null ? [] : [strip]));
  const count = (outcome: string) => context.counter('authentication', { outcome });
  const passed = methods.map(({ name }) => context.counter('authentication', { outcome: 'passed', method: name }));
  const [refused, absent, anonymous, unavailable] = ['refused', 'absent', 'anonymous', 'unavailable'].map(count) as [
    ReturnType<typeof count>,
    ReturnType<typeof count>,
    ReturnType<typeof count>,
    ReturnType<typeof count>,
  ];
  const plainChallenges = methods.flatMap(({ challenge }) => (challenge === '' ? [] : ['www-authenticate', challenge]));
  const only = methods.length === 1 ? methods[0] : undefined;

  function onRequest(exchange: Exchange): Answer | undefined | Promise<Answer | undefined> {
    if (only !== undefined) {
      const finding = only.find(exchange);
      if (finding instanceof Promise) return finding.then((late) => settle(exchange, [late]));
      return finding.kind === 'vouched' ? acceptOne(exchange, 0, finding) : settle(exchange, [finding]);
    }
    return ask(exchange, new Array<Finding | undefined>(methods.length), 0);
  }

  /** Asks as many methods as it takes; goes on later where one waits. */
  function ask(
    exchange: Exchange,
    findings: (Finding | undefined)[],
    from: number,
  ): Answer | undefined | Promise<Answer | undefined> {
    for (let i = from; i < alternatives.length; i++) {
      const alternative = alternatives[i] as readonly number[];
      let holds = true;
      for (const index of alternative) {
        if (findings[index] === undefined) {
          const finding = (methods[index] as Method).find(exchange);
          if (finding instanceof Promise) {
            return finding.then((late) => {
              findings[index] = late;
              return ask(exchange, findings, i);
            });
          }
          findings[index] = finding;
        }
        if (findings[index]?.kind === 'answer') return settle(exchange, findings);
        if (findings[index]?.kind !== 'vouched') {
          holds = false;
          break;
        }
      }
      if (holds) return accept(exchange, alternative, findings);
    }
    return config.optional ? askTheRest(exchange, findings) : refuse(exchange, findings);
  }

  /** Before a request passes without a caller: none of its credentials may be a wrong one, also those that no alternative got to. */
  function askTheRest(
    exchange: Exchange,
    findings: (Finding | undefined)[],
  ): Answer | undefined | Promise<Answer | undefined> {
    for (let index = 0; index < methods.length; index++) {
      if (findings[index] !== undefined) continue;
      const finding = (methods[index] as Method).find(exchange);
      if (finding instanceof Promise) {
        return finding.then((late) => {
          findings[index] = late;
          return askTheRest(exchange, findings);
        });
      }
      findings[index] = finding;
    }
    return refuse(exchange, findings);
  }

  function settle(exchange: Exchange, findings: readonly (Finding | undefined)[]): Answer | undefined {
    const answering = findings.find((finding) => finding?.kind === 'answer');
    if (answering?.kind === 'answer') return answering.answer;
    if (findings[0]?.kind === 'vouched') return acceptOne(exchange, 0, findings[0]);
    return refuse(exchange, findings);
  }

  function accept(
    exchange: Exchange,
    alternative: readonly number[],
    findings: readonly (Finding | undefined)[],
  ): Answer | undefined {
    if (alternative.length === 1) {
      const index = alternative[0] as number;
      return acceptOne(exchange, index, findings[index] as Vouched);
    }
    const vouched = alternative.map((index) => findings[index] as Vouched);
    const identity = merge(vouched);
    for (const index of alternative) (passed[index] as { value: number }).value++;
    return pass(
      exchange,
      identity,
      fieldsFor(
        identity,
        vouched.flatMap(({ fields }) => fields),
      ),
    );
  }

  function acceptOne(exchange: Exchange, index: number, vouched: Vouched): undefined {
    (passed[index] as { value: number }).value++;
    let { written } = vouched;
    if (written?.by !== methods) {
      written = { by: methods, fields: fieldsFor(vouched.identity, vouched.fields) };
      vouched.written = written;
    }
    return pass(exchange, vouched.identity, written.fields);
  }

  function pass(exchange: Exchange, identity: Identity, fields: readonly string[]): undefined {
    clear(exchange);
    exchange.identity = identity;
    const { headers } = exchange;
    for (let i = 0; i < fields.length; i += 2) headers.add(fields[i] as string, fields[i + 1] as string);
  }

  function fieldsFor({ consumer, groups }: Identity, own: readonly string[]): string[] {
    const fields: string[] = [];
    if (consumerHeader !== '') fields.push(consumerHeader, fieldValue(consumer));
    if (groupsHeader !== '' && groups.length > 0) fields.push(groupsHeader, fieldValue(groups.join(',')));
    fields.push(...own);
    return fields;
  }

  function refuse(exchange: Exchange, findings: readonly (Finding | undefined)[]): Answer | undefined {
    // Also of a refused request, whose query and headers may end in a log.
    clear(exchange);
    let worst: Finding | undefined;
    let login: Answer | undefined;
    for (const finding of findings) {
      if (finding === undefined || finding.kind === 'vouched') continue;
      if (finding.kind === 'unavailable') {
        unavailable.value++;
        return problem(503, finding.code, finding.detail, exchange.requestId, ['retry-after', '1']);
      }
      if (finding.kind === 'refused') worst ??= finding;
      if (finding.kind === 'absent') login ??= finding.answer;
    }
    if (worst?.kind === 'refused') {
      refused.value++;
      const { status, code, detail, answer } = worst;
      if (answer !== undefined) return answer;
      const fields = status === 401 ? challenges(findings) : [];
      return problem(status, code, detail, exchange.requestId, fields);
    }
    const partly = findings.some((finding) => finding?.kind === 'vouched');
    if (config.optional && !partly) {
      anonymous.value++;
      exchange.challenges = plainChallenges;
      return undefined;
    }
    absent.value++;
    if (login !== undefined) return login;
    const detail = partly
      ? 'This route needs more credentials than the request holds.'
      : 'This route needs credentials.';
    return problem(401, 'credentials-missing', detail, exchange.requestId, challenges(findings));
  }

  /** One field a method, as RFC 9110 section 11.6.1 allows. */
  function challenges(findings: readonly (Finding | undefined)[]): string[] {
    const fields: string[] = [];
    methods.forEach(({ challenge }, index) => {
      if (challenge === '') return;
      const finding = findings[index];
      const more = finding?.kind === 'refused' && finding.challenge !== undefined ? `, ${finding.challenge}` : '';
      fields.push('www-authenticate', challenge + more);
    });
    return fields;
  }

  function clear(exchange: Exchange): void {
    for (const name of dropped) exchange.headers.remove(name);
    for (const strip of strippers) strip(exchange);
  }

  /** Really asks the methods, so that what it says is what the request would get; the stage's counters count it. */
  async function explain(exchange: Exchange): Promise<Explained> {
    exchange.locals ??= new Map();
    exchange.locals.set(EXPLAINED, true);
    const answer = await onRequest(exchange);
    if (answer !== undefined) {
      const { status, code } = answer;
      return { text: code === '' ? 'a step of a login, answered here' : detailOf(answer), answer: { status, code } };
    }
    const { identity } = exchange;
    if (identity === null) return { text: 'no credentials: goes on without a consumer', answer: null };
    const groups = identity.groups.length === 0 ? '' : ` (${identity.groups.join(', ')})`;
    return { text: `${identity.method}: consumer ${fieldValue(identity.consumer)}${fieldValue(groups)}`, answer: null };
  }

  const responding = methods.flatMap(({ onResponse }) => (onResponse === undefined ? [] : [onResponse]));
  return {
    name: 'authentication',
    onRequest,
    explain,
    ...(responding.length > 0 && {
      onResponse: (exchange: Exchange) => runAll(responding, exchange),
    }),
    close() {
      closeAll(methods);
    },
  };
}

function alternativesOf(config: Pick<AuthenticationSection, 'anyOf'>, methods: readonly Method[]): number[][] {
  const places = new Map<string, number>();
  for (const [index, { name }] of methods.entries()) {
    if (places.has(name)) throw new StageError(`methods[${index}].name`, `a second method called ${name}`);
    places.set(name, index);
  }
  const used = new Set<number>();
  const alternatives = config.anyOf.map((names, i) =>
    names.map((name, j) => {
      const at = places.get(name);
      if (at === undefined) throw new StageError(`anyOf[${i}][${j}]`, `there is no method called ${name}`);
      used.add(at);
      return at;
    }),
  );
  // A method nobody asks would be a mistake that looks like protection.
  for (const [name, index] of places) {
    if (!used.has(index)) throw new StageError('anyOf', `the method ${name} is in no alternative`);
  }
  return alternatives;
}

/** The first method of an alternative names the consumer; groups, scopes and claims are those that any of its methods vouches for. */
function merge(vouched: readonly Vouched[]): Identity {
  const first = (vouched[0] as Vouched).identity;
  if (vouched.length === 1) return first;
  const groups = new Set<string>();
  const scopes = new Set<string>();
  const claims: Record<string, unknown> = {};
  for (const { identity } of vouched) {
    for (const group of identity.groups) groups.add(group);
    for (const scope of identity.scopes) scopes.add(scope);
    for (const [name, value] of Object.entries(identity.claims)) if (!Object.hasOwn(claims, name)) claims[name] = value;
  }
  return { ...first, groups: [...groups], scopes: [...scopes], claims };
}

/** What a field can't hold is written as `?`: names come from tokens and databases. */
function fieldValue(text: string): string {
  return /^[\x20-\x7e]*$/.test(text) ? text : text.replaceAll(/[^\x20-\x7e]/g, '?');
}

async function runAll(handlers: readonly NonNullable<Method['onResponse']>[], exchange: Exchange): Promise<void> {
  for (const handler of handlers) await handler(exchange);
}
