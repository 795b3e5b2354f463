/**
 * Forward-auth: another server is asked whether a request may pass. 2xx is yes; its redirects and 401, 403, 429 reach the client as they are;
 * everything else, and no answer, is 503. A refusal of a request that holds none of the headers that go along counts as "no credentials", so that
 * `optional` and other methods have their say.
 */
import type { OutboundResponse } from '../../outbound/message.ts';
import type { Exchange } from '../../pipeline/exchange.ts';
import type { MethodConfig } from '../../snapshot/sections/authentication.ts';
import type { StageContext } from '../context.ts';
import { StageError } from '../stage-error.ts';
import { readRefusal, readVouched, vouches } from './forward/answers.ts';
import { cacheKeyOf, hasCredential, questionOf } from './forward/question.ts';
import type { Finding, Method, Vouched } from './method.ts';
import { sharedBy } from './shared.ts';
import { TokenCache } from './tokens/cache.ts';
import { Voices } from './tokens/voices.ts';

type Config = MethodConfig<'forward'>;

const LIMITS = { maxEntries: 10_000, maxChars: 1_000_000 };

/** Outlives changes that leave the method as it is. */
interface Memory {
  readonly known: TokenCache<Vouched>;
  /** Questions under way, by what their answer is remembered under. */
  readonly asking: Map<string, Promise<Finding>>;
  readonly voices: Voices;
  close(): void;
}

const memoriesOf = sharedBy<Memory>();

export function create(config: Config, context: StageContext, field: string): Method {
  for (const [index, name] of config.cacheHeaders.entries()) {
    if (!config.requestHeaders.includes(name))
      throw new StageError(
        `${field}.cacheHeaders[${index}]`,
        `${name} is not one of requestHeaders: the server does not see it`,
      );
  }
  const { http } = context.services;
  const { value: memory, release } = memoriesOf(http).hold(JSON.stringify(config), () => {
    const known = new TokenCache<Vouched>(LIMITS);
    return { known, asking: new Map(), voices: new Voices(), close: () => known.clear() };
  });
  const { known, asking, voices } = memory;
  const silence = voices.add(context.trouble);

  async function ask(exchange: Exchange, key: string | null): Promise<Finding> {
    let answer: OutboundResponse;
    try {
      answer = await http.request(questionOf(config, exchange));
    } catch (error) {
      return fail((error as Error).message);
    }
    if (vouches(answer)) {
      voices.say(null);
      const vouched = readVouched(config, answer);
      if (key !== null) known.set(key, vouched, context.epochMs() + config.cacheMs);
      return vouched;
    }
    const refusal = readRefusal(answer);
    if (refusal === null) return fail(`${config.url} answers ${answer.status}`);
    voices.say(null);
    if (!hasCredential(config, exchange)) return { kind: 'absent', answer: refusal };
    return { ...REFUSED, answer: refusal };
  }

  /** Who asks at the same time for the same waits for one answer. Only a yes is shared: a refusal is made for its own request. */
  async function askOnce(exchange: Exchange, key: string): Promise<Finding> {
    const underWay = asking.get(key);
    if (underWay !== undefined) {
      const finding = await underWay;
      if (finding.kind === 'vouched' || finding.kind === 'unavailable') return finding;
      return ask(exchange, key);
    }
    const question = ask(exchange, key).finally(() => asking.delete(key));
    asking.set(key, question);
    return question;
  }

  function fail(why: string): Finding {
    voices.say(`method ${config.name}: ${why}`);
    return UNAVAILABLE;
  }

  return {
    name: config.name,
    challenge: '',
    writes: config.copyHeaders,
    strip: config.keepCredential || !config.requestHeaders.includes('authorization') ? null : strip,
    find(exchange) {
      const key = cacheKeyOf(config, exchange);
      if (key === null) return ask(exchange, null);
      return known.get(key, context.epochMs()) ?? askOnce(exchange, key);
    },
    close() {
      silence();
      release();
    },
  };
}

const REFUSED = {
  kind: 'refused',
  status: 403,
  code: 'forward-auth-refused',
  detail: 'This request is not allowed here.',
} as const;

const UNAVAILABLE: Finding = {
  kind: 'unavailable',
  code: 'forward-auth-unavailable',
  detail: 'Whether this request may pass can not be told at the moment.',
};

/** Cookies stay: they are rarely only the authorizer's. */
function strip({ headers }: Exchange): void {
  headers.remove('authorization');
}
