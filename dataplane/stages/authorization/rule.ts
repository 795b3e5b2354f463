/** One rule, ready to be asked. A part that is not configured is null. */
import type { BlockList } from 'node:net';
import { addressList, listHolds } from '../../pipeline/addresses.ts';
import { compileCertificateMatch } from '../../pipeline/certificate-match.ts';
import type { Exchange } from '../../pipeline/exchange.ts';
import type { Identity } from '../../pipeline/identity.ts';
import { compilePathTest, type PathTest } from '../../pipeline/path-test.ts';
import type { PathMatch } from '../../snapshot/primitives.ts';
import type { AuthorizationRule } from '../../snapshot/sections/authorization.ts';
import type { Counter } from '../../telemetry/stage-counters.ts';
import { StageError } from '../stage-error.ts';
import { type Claims, compileClaim } from './claims.ts';
import { createExpression, ExchangeSubject } from './expressions.ts';
import { compileTimes } from './times.ts';

/** What a rule says of a request. */
export type Held =
  | 'yes'
  | 'no'
  /** Only who calls is missing: nobody said. */
  | 'anonymous'
  /** Only scopes are missing. */
  | 'scopes';

export interface Rule {
  readonly allows: boolean;
  readonly scopes: readonly string[];
  readonly ask: (exchange: Exchange) => Held;
}

/** `errors` counts expressions that could not be told. Throws StageError naming what is below `field`. */
export function compileRule(
  config: AuthorizationRule,
  field: string,
  epochMs: () => number,
  errors: () => Counter,
): Rule {
  const allows = config.action === 'allow';
  const request = compileRequest(config, field, epochMs);
  const consumers = setOf(config.consumers);
  const groups = setOf(config.groups);
  const scopes = config.scopes.length === 0 ? null : config.scopes;
  const claims = config.claims.length === 0 ? null : config.claims.map(compileClaim);
  const expression = config.cel === undefined ? null : createExpression(config.cel, `${field}.cel`);
  const certificate = config.certificate === undefined ? null : compileCertificateMatch(config.certificate);
  // Of an allow rule only: what a deny rule says of certificates has to hold against who shows none.
  const needsCertificate = certificate !== null || (allows && expression?.asksCertificate === true);
  const failures = expression === null ? null : errors();
  const asksIdentity = consumers !== null || groups !== null || scopes !== null || claims !== null;
  // A deny rule whose expression asks who calls is asked of nobody too: else `!('staff' in auth.groups)` would let strangers pass.
  const needsIdentity = asksIdentity || (allows && expression?.asksIdentity === true);

  function ask(exchange: Exchange): Held {
    if (request !== null && !request(exchange)) return 'no';
    if (needsCertificate) {
      const shown = exchange.downstream.tls?.certificate ?? null;
      if (shown === null || (certificate !== null && !certificate(shown))) return 'no';
    }
    const { identity } = exchange;
    if (identity === null) {
      if (needsIdentity) return 'anonymous';
    } else if (asksIdentity) {
      if (consumers !== null && !consumers.has(identity.consumer)) return 'no';
      if (groups !== null && !anyIn(groups, identity.groups)) return 'no';
      if (claims !== null && !claimsHold(claims, identity)) return 'no';
    }
    if (expression !== null && !told(exchange)) return 'no';
    if (scopes !== null && identity !== null && !allIn(scopes, identity.scopes)) return 'scopes';
    return 'yes';
  }

  /** What can't be told counts against the caller. */
  function told(exchange: Exchange): boolean {
    try {
      return expression?.holds(new ExchangeSubject(exchange, epochMs())) === true;
    } catch {
      if (failures !== null) failures.value++;
      return !allows;
    }
  }

  return { allows, scopes: config.scopes, ask };
}

/** Null where nothing of the request itself is asked. */
function compileRequest(
  config: AuthorizationRule,
  field: string,
  epochMs: () => number,
): ((exchange: Exchange) => boolean) | null {
  const methods = setOf(config.methods);
  const paths =
    config.paths.length === 0 ? null : config.paths.map((path, i) => pathTest(path, `${field}.paths[${i}]`));
  const addresses = addressesOf(config.addresses, `${field}.addresses`);
  const times = timesOf(config, field);
  if (methods === null && paths === null && addresses === null && times === null) return null;
  return ({ method, path, clientAddress }) =>
    (methods === null || methods.has(method)) &&
    (paths === null || paths.some((test) => test(path))) &&
    (addresses === null || listHolds(addresses, clientAddress)) &&
    (times === null || times(epochMs()));
}

function setOf(list: readonly string[]): ReadonlySet<string> | null {
  return list.length === 0 ? null : new Set(list);
}

function anyIn(wanted: ReadonlySet<string>, had: readonly string[]): boolean {
  for (let i = 0; i < had.length; i++) if (wanted.has(had[i] as string)) return true;
  return false;
}

function allIn(wanted: readonly string[], had: readonly string[]): boolean {
  for (let i = 0; i < wanted.length; i++) if (!had.includes(wanted[i] as string)) return false;
  return true;
}

function claimsHold(tests: readonly ((claims: Claims) => boolean)[], { claims }: Identity): boolean {
  for (let i = 0; i < tests.length; i++) if (!(tests[i] as (claims: Claims) => boolean)(claims)) return false;
  return true;
}

function pathTest(path: PathMatch, field: string): PathTest {
  try {
    return compilePathTest(path);
  } catch (error) {
    throw new StageError(`${field}.value`, (error as Error).message);
  }
}

function addressesOf(sources: readonly string[], field: string): BlockList | null {
  if (sources.length === 0) return null;
  return addressList(sources, (index, message) => {
    throw new StageError(`${field}[${index}]`, message);
  });
}

function timesOf({ times }: AuthorizationRule, field: string): ((epochMs: number) => boolean) | null {
  if (times.length === 0) return null;
  try {
    return compileTimes(times);
  } catch (error) {
    throw new StageError(`${field}.times`, (error as Error).message);
  }
}
