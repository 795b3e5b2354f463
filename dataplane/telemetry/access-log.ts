/**
 * The access log: one JSON line an exchange, built by hand because it is on the hot path. The query is left out unless asked for: it
 * may hold secrets.
 */
import type { CompiledRule } from '../pipeline/chain.ts';
import type { Exchange } from '../pipeline/exchange.ts';

export interface AccessLogOptions {
  readonly query: boolean;
  /** ms since the epoch; asked once a second. */
  readonly epochMs: () => number;
}

/** `endMs` is on the clock of `exchange.startedAtMs`. */
export type FormatLine = (exchange: Exchange, endMs: number) => string;

/** Times with three decimals. A line is ASCII and ends with a newline. */
export function createLineFormat({ query, epochMs }: AccessLogOptions): FormatLine {
  const timestamp = createTimestamp(epochMs);
  const origins = new WeakMap<CompiledRule, string>();
  const targets = new Map<string, Target>();
  return (exchange, endMs) => {
    const { requestId, method, authority, path, clientAddress, rule, upstreamMs, code, endpoint } = exchange;
    const userAgent = exchange.headers.get('user-agent');
    const asked = query ? exchange.query : undefined;
    // One test for all that clients choose: a test has a fixed cost, and hardly ever is anything to escape.
    const text = SPECIAL.test(`${requestId}${method}${authority}${path}${clientAddress}${code}${userAgent}${asked}`)
      ? quoteSpecial
      : quotePlain;
    let line = `{"time":"${timestamp(endMs)}","requestId":${text(requestId)},"method":${text(method)},"host":${text(authority)},"path":${text(path)}`;
    if (asked !== undefined) line += `,"query":${text(asked)}`;
    line += `,"protocol":"${exchange.protocol}","status":${exchange.status},"bytesIn":${exchange.bytesIn},"bytesOut":${exchange.bytesOut},"durationMs":${decimals(endMs - exchange.startedAtMs)}`;
    if (upstreamMs >= 0) line += `,"upstreamMs":${decimals(upstreamMs)}`;
    if (rule !== null) line += origins.get(rule) ?? addOrigin(origins, rule);
    if (exchange.backend !== '') {
      let target = targets.get(endpoint);
      if (target === undefined || target.backend !== exchange.backend) target = addTarget(targets, exchange);
      line += target.text;
    }
    line += `,"client":${text(clientAddress)}`;
    if (code !== '') line += `,"code":${text(code)}`;
    if (userAgent !== undefined) line += `,"userAgent":${text(userAgent)}`;
    return `${line}}\n`;
  };
}

function addOrigin(origins: WeakMap<CompiledRule, string>, rule: CompiledRule): string {
  const { namespace, route, rule: name } = rule.resource;
  const text = `,"route":${quoteSpecial(`${namespace}/${route}`)},"rule":${quoteSpecial(name)}`;
  origins.set(rule, text);
  return text;
}

interface Target {
  readonly backend: string;
  readonly text: string;
}
/** Endpoints whose text is remembered; when there are more it starts anew. */
const MAX_TARGETS = 4096;

function addTarget(targets: Map<string, Target>, { backend, endpoint }: Exchange): Target {
  if (targets.size >= MAX_TARGETS) targets.clear();
  const text = `,"backend":${quoteSpecial(backend)},"endpoint":${quoteSpecial(endpoint)}`;
  const target = { backend, text };
  targets.set(endpoint, target);
  return target;
}

/** All but printable ASCII without quote and backslash. */
const SPECIAL = /[^ !#-[\]-~]/;

/** JSON in ASCII: a reader needs to know no encoding, and no separator of lines is left in it. */
function quoteSpecial(text: string): string {
  return JSON.stringify(text).replace(
    /[^ -~]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

function quotePlain(text: string): string {
  return `"${text}"`;
}

const THOUSANDTHS = Array.from({ length: 1000 }, (_, i) => String(i).padStart(3, '0'));

/** A duration with three decimals; several times cheaper than toFixed. */
function decimals(ms: number): string {
  const us = Math.round(ms * 1000);
  if (!(us >= 0 && us < 2 ** 31)) return ms.toFixed(3);
  const whole = (us / 1000) | 0;
  return `${whole}.${THOUSANDTHS[us - whole * 1000]}`;
}

/** Monotonic ms to ISO 8601 in UTC with ms. The wall clock is asked, and the text up to the second made, once a second. */
function createTimestamp(epochMs: () => number): (monotonicMs: number) => string {
  let startMs = Number.NaN;
  let prefix = '';
  return (monotonicMs) => {
    let elapsed = monotonicMs - startMs;
    if (!(elapsed >= 0 && elapsed < 1000)) {
      const epoch = epochMs();
      const second = Math.floor(epoch / 1000) * 1000;
      prefix = new Date(second).toISOString().slice(0, 20);
      elapsed = epoch - second;
      startMs = monotonicMs - elapsed;
    }
    return `${prefix}${THOUSANDTHS[elapsed | 0]}Z`;
  };
}
