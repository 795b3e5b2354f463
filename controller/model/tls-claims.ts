/** Which Route says how a host is served over TLS, where several do: the older one, then the first by name. The others are told. */
import type { Problem } from '../api/problem.ts';
import { keyOf, type ObjectKey } from '../store/objects.ts';
import type { RouteModel } from './route.ts';

export class TlsClaims {
  /** By host, the winner first. */
  readonly #claims = new Map<string, RouteModel[]>();
  readonly #routes = new Map<ObjectKey, RouteModel>();

  /** Puts a Route in, anew, or takes it out (null). Returns the other Routes whose problems may differ now. */
  set(key: ObjectKey, route: RouteModel | null): ReadonlySet<ObjectKey> {
    const touched = new Set<ObjectKey>();
    const old = this.#routes.get(key);
    for (const host of old?.hosts ?? []) {
      const rest = (this.#claims.get(host) ?? []).filter((other) => other !== old);
      if (rest.length === 0) this.#claims.delete(host);
      else this.#claims.set(host, rest);
      for (const other of rest) touched.add(keyOf(other.ref));
    }
    this.#routes.delete(key);
    if (route === null || route.tls === undefined) return touched;
    this.#routes.set(key, route);
    for (const host of route.hosts) {
      const claims: RouteModel[] = [...(this.#claims.get(host) ?? []), route].sort(byPrecedence);
      this.#claims.set(host, claims);
      for (const other of claims) if (other !== route) touched.add(keyOf(other.ref));
    }
    return touched;
  }

  /** One Problem where another Route decides for a host of this one, and says something else. */
  of(key: ObjectKey): Problem[] {
    const route = this.#routes.get(key);
    if (route === undefined) return [];
    for (const host of route.hosts) {
      const winner = this.#claims.get(host)?.[0];
      if (winner === undefined || winner === route || textOf(winner) === textOf(route)) continue;
      const why = winner.createdAtMs < route.createdAtMs ? 'is older' : 'goes first by name';
      const message = `host ${host} is served over TLS as Route ${winner.ref.namespace}/${winner.ref.name} says, which ${why}`;
      return [{ object: route.ref, path: 'spec.tls', reason: 'Conflicted', message }];
    }
    return [];
  }
}

function textOf({ ref, tls, rules }: RouteModel): string {
  return JSON.stringify([ref.namespace, tls, tls?.passthrough === true ? rules[0]?.spec?.backends : null]);
}

function byPrecedence(a: RouteModel, b: RouteModel): number {
  const x = `${a.ref.namespace}/${a.ref.name}`;
  const y = `${b.ref.namespace}/${b.ref.name}`;
  return a.createdAtMs - b.createdAtMs || (x < y ? -1 : x > y ? 1 : 0);
}
