/**
 * Cross-origin requests as the Fetch standard has them (fetch.spec.whatwg.org section 3.3, HTTP extensions): preflights are answered
 * here, responses get the fields that let a page read them. The backend's own CORS fields are replaced.
 */
import type { Explained, Stage } from '../pipeline/chain.ts';
import type { Answer, Exchange } from '../pipeline/exchange.ts';
import { Headers } from '../pipeline/headers.ts';
import { problem } from '../pipeline/respond.ts';
import { originProblem } from '../snapshot/origin.ts';
import type { PolicySection } from '../snapshot/resources.ts';
import { StageError } from './stage-error.ts';

export type CorsConfig = Extract<PolicySection, { section: 'cors' }>;

/** In `exchange.cors`, where all is said; else the origin allowed, empty where the request has none that is. */
const PREFLIGHT = 'preflight';

export function createCors(config: CorsConfig): Stage {
  const allows = compileOrigins(config);
  const anyOrigin = config.allowOrigins.includes('*');
  const exposed = config.exposeHeaders.join(', ');
  const exposesAll = config.exposeHeaders.includes('*') && config.allowCredentials;
  const preflightVary = `Origin, Access-Control-Request-Method, Access-Control-Request-Headers${
    config.allowPrivateNetwork ? ', Access-Control-Request-Private-Network' : ''
  }`;

  function onRequest(exchange: Exchange): Answer | undefined {
    const origin = exchange.headers.get('origin');
    if (origin === undefined) return undefined;
    const allowed = allows(origin);
    // Kept, because a later stage may edit the request's headers.
    exchange.cors = allowed ? origin : '';
    if (exchange.method !== 'OPTIONS') return undefined;
    const method = exchange.headers.get('access-control-request-method');
    if (method === undefined) return undefined;
    exchange.cors = PREFLIGHT;
    if (!allowed) {
      const vary = ['vary', 'Origin'];
      return problem(403, 'cors-origin', 'This origin is not allowed to call this route.', exchange.requestId, vary);
    }
    const answer = preflight(origin, method, exchange.headers.getCombined('access-control-request-headers'));
    if (config.allowPrivateNetwork && exchange.headers.get('access-control-request-private-network') === 'true')
      answer.headers.add('access-control-allow-private-network', 'true');
    return answer;
  }

  function preflight(origin: string, method: string, asked: string | undefined): Answer {
    const headers = new Headers();
    allowOrigin(headers, origin);
    // A wildcard is spelt out: with credentials, and for Authorization always, browsers take `*` by the letter.
    const methods = config.allowMethods.includes('*') ? method : config.allowMethods.join(', ');
    if (methods !== '') headers.add('access-control-allow-methods', methods);
    const names = config.allowHeaders.includes('*') ? (asked ?? '') : config.allowHeaders.join(', ');
    if (names !== '') headers.add('access-control-allow-headers', names);
    headers.add('access-control-max-age', String(config.maxAgeSeconds));
    headers.add('vary', preflightVary);
    return { status: 204, code: '', headers, body: null };
  }

  function onResponse(exchange: Exchange): void {
    const headers = exchange.responseHeaders;
    const { cors } = exchange;
    if (headers === null || cors === PREFLIGHT) return;
    removeCorsFields(headers);
    // With `*` also where there is no Origin: a cache gives one answer to all ("CORS protocol and HTTP caches" there).
    const origin = anyOrigin ? '*' : (cors ?? allowedOrigin(exchange));
    if (!anyOrigin) addVary(headers, 'Origin');
    if (origin === '') return;
    const names = exposesAll ? namesIn(headers) : exposed;
    allowOrigin(headers, origin);
    if (names !== '') headers.add('access-control-expose-headers', names);
  }

  function allowedOrigin(exchange: Exchange): string {
    const origin = exchange.headers.get('origin');
    return origin !== undefined && allows(origin) ? origin : '';
  }

  function allowOrigin(headers: Headers, origin: string): void {
    headers.add('access-control-allow-origin', anyOrigin ? '*' : origin);
    if (config.allowCredentials) headers.add('access-control-allow-credentials', 'true');
  }

  function explain(exchange: Exchange): Explained {
    const answer = onRequest(exchange);
    if (exchange.headers.get('origin') === undefined) return { text: 'no Origin: not asked by a page', answer: null };
    if (answer === undefined) {
      const allowed = exchange.cors !== '';
      return { text: allowed ? 'the origin may read the answer' : 'the origin may not read the answer', answer: null };
    }
    const text = answer.code === '' ? 'a preflight, answered here' : 'a preflight of an origin that is not allowed';
    return { text, answer: { status: answer.status, code: answer.code } };
  }

  return { name: 'cors', onRequest, onResponse, explain };
}

/** Throws StageError on an origin that no browser would send, and on any origin with credentials. */
function compileOrigins(config: CorsConfig): (origin: string) => boolean {
  const exact = new Set<string>();
  const wildcards: { before: string; after: string }[] = [];
  for (const [index, text] of config.allowOrigins.entries()) {
    const field = `allowOrigins[${index}]`;
    const origin = text.toLowerCase();
    if (origin === '*') {
      // Would let every site on the web act as the logged-in user (Fetch forbids the literal pair for that reason).
      if (config.allowCredentials) throw new StageError(field, `* can't be combined with allowCredentials`);
      return () => true;
    }
    const problem = originProblem(origin);
    if (problem !== null) throw new StageError(field, problem);
    const star = origin.indexOf('*');
    if (star < 0) exact.add(origin);
    else wildcards.push({ before: origin.slice(0, star), after: origin.slice(star + 1) });
  }
  const spelled = [...exact];
  return (text) => {
    // As browsers send it. A set would have the engine intern each request's string.
    for (const one of spelled) if (one.length === text.length && one === text) return true;
    const origin = text.toLowerCase();
    if (exact.has(origin)) return true;
    for (const { before, after } of wildcards) {
      if (origin.length <= before.length + after.length || !origin.startsWith(before) || !origin.endsWith(after))
        continue;
      // Labels only: `https://evil.example/.example.com` must not pass.
      if (/^[a-z0-9-]+(\.[a-z0-9-]+)*$/.test(origin.slice(before.length, -after.length))) return true;
    }
    return false;
  };
}

/** With credentials a browser takes `*` by the letter: the names are spelt out. Set-Cookie is never exposed. */
function namesIn({ fields }: Headers): string {
  const names = new Set<string>();
  for (let i = 0; i < fields.length; i += 2) if (fields[i] !== 'set-cookie') names.add(fields[i] as string);
  return [...names].join(', ');
}

const PREFIX = 'access-control-';

/** All `access-control-*` of the backend, in one pass over what most often holds none. */
function removeCorsFields(headers: Headers): void {
  const fields = headers.fields;
  for (let i = 0; i < fields.length; ) {
    const name = fields[i] as string;
    // Each removal shifts what is behind it to this place.
    if (name.length > PREFIX.length && name.startsWith(PREFIX)) headers.remove(name);
    else i += 2;
  }
}

function addVary(headers: Headers, name: string): void {
  const vary = headers.getCombined('vary');
  if (vary === undefined) headers.add('vary', name);
  else if (!vary.split(',').some((one) => one.trim() === '*' || one.trim().toLowerCase() === name.toLowerCase())) {
    headers.set('vary', `${vary}, ${name}`);
  }
}
