/**
 * Looks names up when connecting, for as long as the data plane has no answer of its own (supervisor/dns). The addresses found are checked
 * here: a name must not lead to the data plane's own machine unless it may.
 */
import dns, { type LookupAddress } from 'node:dns';
import type { LookupFunction } from 'node:net';
import { isLocalAddress } from '../snapshot/local-address.ts';

export interface Lookups {
  /** Whatever the answer is. */
  readonly any: LookupFunction;
  /** Fails with ENOTFOUND where nothing but addresses of the data plane's own machine is left. */
  readonly remote: LookupFunction;
}

type Find = (name: string, done: (error: NodeJS.ErrnoException | null, found: LookupAddress[]) => void) => void;

/** `servers`: addresses of DNS servers, with or without port; null: as the system looks names up, its hosts file included. */
export function createLookups(servers: readonly string[] | null): Lookups {
  const find = servers === null ? system : asked(servers);
  return {
    any: lookup(find, () => true),
    remote: lookup(find, ({ address }) => !isLocalAddress(address)),
  };
}

function system(name: string, done: Parameters<Find>[1]): void {
  dns.lookup(name, { all: true }, (error, found) => done(error, found ?? []));
}

function asked(servers: readonly string[]): Find {
  return (name, done) => {
    const resolver = new dns.Resolver({ timeout: 1_000, tries: 2 });
    resolver.setServers(servers);
    const found: LookupAddress[] = [];
    let left = 2;
    const take =
      (family: 4 | 6) =>
      (error: NodeJS.ErrnoException | null, addresses: string[] | undefined): void => {
        for (const address of addresses ?? []) found.push({ address, family });
        if (--left === 0) done(found.length > 0 ? null : error, found);
      };
    resolver.resolve4(name, take(4));
    resolver.resolve6(name, take(6));
  };
}

function lookup(find: Find, keep: (found: LookupAddress) => boolean): LookupFunction {
  return (name, options, done) => {
    find(name, (failure, found) => {
      const kept = found.filter(keep);
      const [first] = kept;
      const error = failure ?? (first === undefined ? notFound(name) : null);
      if (options.all === true) done(error, kept);
      else done(error, first?.address ?? '', first?.family ?? 0);
    });
  };
}

function notFound(name: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${name} leads to no address that may be connected to`), { code: 'ENOTFOUND' });
}
