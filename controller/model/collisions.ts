/**
 * Rules that can never be reached, because an older one has the same host, path and predicates. The router settles it the same
 * way (Gateway API: the older Route, then its name, then the place in the list); here the loser is told.
 */
import type { Problem } from '../api/problem.ts';
import type { RouteMatch } from '../api/v1alpha1/route.ts';
import { keyOf, type ObjectKey } from '../store/objects.ts';
import { methodsOf, pathOf } from './match-path.ts';
import type { RouteModel } from './route.ts';

interface Claim {
  readonly route: RouteModel;
  readonly rule: string;
  readonly index: number;
}

export class Collisions {
  readonly #claims = new Map<string, Claim[]>();
  readonly #keys = new Map<ObjectKey, ReadonlyMap<string, readonly Claim[]>>();

  /** Puts a Route in, anew, or takes it out (null). Returns the other Routes whose collisions may differ now. */
  set(key: ObjectKey, route: RouteModel | null): ReadonlySet<ObjectKey> {
    const old = this.#keys.get(key) ?? new Map<string, readonly Claim[]>();
    const own = route === null ? new Map<string, Claim[]>() : claimsOf(route);
    const winners = new Map<string, string>();
    for (const text of [...old.keys(), ...own.keys()]) winners.set(text, this.#winner(text));
    for (const text of old.keys()) this.#withdraw(text, key);
    for (const [text, claims] of own) for (const claim of claims) this.#enter(text, claim);
    if (route === null) this.#keys.delete(key);
    else this.#keys.set(key, own);
    const touched = new Set<ObjectKey>();
    for (const [text, before] of winners) {
      if (this.#winner(text) === before) continue;
      for (const claim of this.#claims.get(text) ?? []) touched.add(keyOf(claim.route.ref));
    }
    touched.delete(key);
    return touched;
  }

  /** For each rule that loses somewhere: one Problem, and whether it loses everywhere. By rule name. */
  of(key: ObjectKey): ReadonlyMap<string, { readonly problem: Problem; readonly everywhere: boolean }> {
    const losses = new Map<string, { problem: Problem; everywhere: boolean }>();
    const wins = new Set<string>();
    for (const [text, claims] of this.#keys.get(key) ?? []) {
      const winner = this.#claims.get(text)?.[0];
      for (const claim of claims) {
        if (winner === undefined || (winner.route === claim.route && winner.rule === claim.rule)) wins.add(claim.rule);
        else if (!losses.has(claim.rule)) losses.set(claim.rule, { problem: lost(claim, winner), everywhere: true });
      }
    }
    for (const rule of wins) {
      const loss = losses.get(rule);
      if (loss !== undefined) losses.set(rule, { ...loss, everywhere: false });
    }
    return losses;
  }

  /** All that losers are told of the winner. */
  #winner(text: string): string {
    const claim = this.#claims.get(text)?.[0];
    return claim === undefined ? '' : `${keyOf(claim.route.ref)} ${claim.rule} ${claim.route.createdAtMs}`;
  }

  #enter(text: string, claim: Claim): void {
    const claims = this.#claims.get(text);
    if (claims === undefined) {
      this.#claims.set(text, [claim]);
      return;
    }
    const at = claims.findIndex((other) => byPrecedence(claim, other) < 0);
    claims.splice(at < 0 ? claims.length : at, 0, claim);
  }

  #withdraw(text: string, key: ObjectKey): void {
    const rest = (this.#claims.get(text) ?? []).filter((claim) => keyOf(claim.route.ref) !== key);
    if (rest.length === 0) this.#claims.delete(text);
    else this.#claims.set(text, rest);
  }
}

function lost(loser: Claim, winner: Claim): Problem {
  const sibling = winner.route === loser.route;
  const where = sibling ? 'of this Route' : `of Route ${winner.route.ref.namespace}/${winner.route.ref.name}`;
  const why = sibling
    ? 'comes first'
    : winner.route.createdAtMs < loser.route.createdAtMs
      ? 'is older'
      : 'goes first by name';
  return {
    object: loser.route.ref,
    path: `spec.rules[${loser.index}]`,
    reason: 'RuleConflict',
    message: `rule ${loser.rule} has the same host, path and conditions as rule ${winner.rule} ${where}, which ${why} and gets the requests`,
  };
}

function claimsOf(route: RouteModel): Map<string, Claim[]> {
  const claims = new Map<string, Claim[]>();
  for (const { name, index, matches } of route.rules) {
    const texts = new Set((matches.length === 0 ? [{}] : matches).map(textOf));
    for (const host of route.hosts) {
      for (const text of texts) {
        const key = `${host} ${text}`;
        const list = claims.get(key);
        const claim = { route, rule: name, index };
        if (list === undefined) claims.set(key, [claim]);
        else list.push(claim);
      }
    }
  }
  return claims;
}

/** Equal for matches that take the same requests as far as it shows: lists in any order, header names in any case. */
function textOf(match: RouteMatch): string {
  const path = pathOf(match);
  const values = (items: RouteMatch['query'], lower = false) =>
    (items ?? [])
      .map((item) => {
        const name = lower ? item.name.toLowerCase() : item.name;
        return JSON.stringify([name, item.exact ?? null, item.regex ?? null, item.present ?? null]);
      })
      .sort();
  return JSON.stringify([
    path.kind,
    path.kind === 'prefix' ? path.value.replace(/\/+$/, '') : path.value,
    [...new Set(methodsOf(match))].sort(),
    values(match.headers, true),
    values(match.query),
    values(match.cookies),
    [...new Set(match.sources ?? [])].sort(),
  ]);
}

function byPrecedence(a: Claim, b: Claim): number {
  const x = `${a.route.ref.namespace}/${a.route.ref.name}`;
  const y = `${b.route.ref.namespace}/${b.route.ref.name}`;
  return a.route.createdAtMs - b.route.createdAtMs || (x < y ? -1 : x > y ? 1 : 0) || a.index - b.index;
}
