/**
 * Asks for names. Without servers of its own it does as the C library would: the hosts file, search domains, at last the library itself
 * (mDNS and what else the machine has); but it learns the TTL. With servers, only these are asked, for whole names.
 */
import dns, { type RecordWithTtl } from 'node:dns';
import { readFile } from 'node:fs/promises';
import { isIPv4, isIPv6 } from 'node:net';
import { networkInterfaces } from 'node:os';
import { ProbeSlots } from '../health/probe-slots.ts';
import { type Addresses, type Answer, MAX_ADDRESSES, type NameResolver, type ServiceRecord } from './answer.ts';
import { candidates, parseHosts, parseSearchRules } from './system-names.ts';

export interface ResolverOptions {
  /** `address` or `address:port`; null: those of the system. */
  readonly servers: readonly string[] | null;
  /** Of one attempt at one server, and of a whole look-up. */
  readonly timeoutMs: number;
  readonly deadlineMs: number;
  /** Look-ups at a time; the others wait in the order they came. Default 64. */
  readonly maxConcurrent?: number;
  /** Families worth asking for; default: those the machine has addresses of. */
  readonly families?: () => Families;
  /** Names as they stand, without hosts file and search domains; default: with servers of its own. */
  readonly whole?: boolean;
  readonly hostsFile?: string;
  readonly resolvConf?: string;
}

/** Rounds over all servers. */
const TRIES = 2;
/** Each look-up has sockets of its own. */
const MAX_CONCURRENT = 64;
/** How long an entry of the hosts file, and what the C library said, counts. */
const HOSTS_TTL_MS = 5_000;
const LIBRARY_TTL_MS = 30_000;
/** When only one family could be asked about, the other is asked for again soon. */
const PARTIAL_TTL_MS = 5_000;
const NONE = { kind: 'none' } as const;

export function createNameResolver(options: ResolverOptions): NameResolver {
  const { servers, hostsFile = '/etc/hosts', resolvConf = '/etc/resolv.conf' } = options;
  const families = options.families ?? usableFamilies;
  const whole = options.whole ?? servers !== null;

  async function addresses(name: string): Promise<Answer<Addresses>> {
    if (whole) return bounded((resolver) => askInTurn(resolver, name.replace(/\.$/, ''), families()));
    const known = parseHosts(await text(hostsFile)).get(name.replace(/\.$/, ''));
    if (known !== undefined) return found(known, HOSTS_TTL_MS);
    const rules = parseSearchRules(await text(resolvConf));
    return bounded(async (resolver) => {
      for (const candidate of candidates(name, rules)) {
        const answer = await askInTurn(resolver, candidate, families());
        if (answer.kind !== 'none') return answer;
      }
      return servers === null ? askLibrary(name) : NONE;
    });
  }

  /** One resolver a look-up: it reads the system's servers anew, and can be called off alone. */
  async function bounded<T>(work: (resolver: dns.promises.Resolver) => Promise<Answer<T>>): Promise<Answer<T>> {
    const resolver = createResolver(options);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<Answer<T>>((resolve) => {
      timer = setTimeout(() => {
        resolver.cancel();
        resolve({ kind: 'failed', code: dns.TIMEOUT });
      }, options.deadlineMs);
    });
    try {
      return await Promise.race([work(resolver), late]);
    } finally {
      clearTimeout(timer);
    }
  }

  async function services(name: string): Promise<Answer<readonly ServiceRecord[]>> {
    // Only who uses SRV records has this in memory.
    const { queryServices } = await import('./service-query.ts');
    return queryServices(name.replace(/\.$/, ''), {
      servers: createResolver(options).getServers(),
      timeoutMs: options.timeoutMs,
      tries: TRIES,
      signal: AbortSignal.timeout(options.deadlineMs),
    });
  }

  const slots = new ProbeSlots(options.maxConcurrent ?? MAX_CONCURRENT);
  async function inTurn<T>(work: () => Promise<T>): Promise<T> {
    await new Promise<void>((resolve) =>
      slots.take(() => {
        resolve();
        return true;
      }),
    );
    try {
      return await work();
    } finally {
      slots.release();
    }
  }

  return {
    addresses: (name) => inTurn(() => addresses(name)),
    services: (name) => inTurn(() => services(name)),
  };
}

function createResolver({ servers, timeoutMs }: ResolverOptions): dns.promises.Resolver {
  const resolver = new dns.promises.Resolver({ timeout: timeoutMs, tries: TRIES });
  if (servers !== null) resolver.setServers(servers);
  return resolver;
}

interface Families {
  readonly v4: boolean;
  readonly v6: boolean;
}

/** c-ares goes on to the next server where one is silent, but takes a refusal for an answer. */
async function askInTurn(resolver: dns.promises.Resolver, name: string, wanted: Families): Promise<Answer<Addresses>> {
  const servers = resolver.getServers();
  let answer = await lookUp(resolver, name, wanted);
  for (let i = 1; i < servers.length && answer.kind === 'failed' && REFUSALS.has(answer.code); i++) {
    resolver.setServers([...servers.slice(i), ...servers.slice(0, i)]);
    answer = await lookUp(resolver, name, wanted);
  }
  return answer;
}

const REFUSALS = new Set<string>([dns.SERVFAIL, dns.REFUSED, dns.NOTIMP, dns.FORMERR]);

async function lookUp(resolver: dns.promises.Resolver, name: string, wanted: Families): Promise<Answer<Addresses>> {
  const [v4, v6] = await Promise.all([
    wanted.v4 ? records(resolver.resolve4(name, { ttl: true })) : NONE,
    wanted.v6 ? records(resolver.resolve6(name, { ttl: true })) : NONE,
  ]);
  if (v4.kind !== 'found' && v6.kind !== 'found') {
    return v4.kind === 'failed' ? v4 : v6.kind === 'failed' ? v6 : NONE;
  }
  const ttlOf = (family: Answer<string[]>): number =>
    family.kind === 'found' ? family.ttlMs : family.kind === 'failed' ? PARTIAL_TTL_MS : Number.POSITIVE_INFINITY;
  return {
    kind: 'found',
    value: { v4: addressesOf(v4), v6: addressesOf(v6) },
    ttlMs: Math.min(ttlOf(v4), ttlOf(v6)),
  };
}

function addressesOf(family: Answer<string[]>): string[] | null {
  return family.kind === 'found' ? family.value : family.kind === 'none' ? [] : null;
}

async function records(asked: Promise<RecordWithTtl[]>): Promise<Answer<string[]>> {
  try {
    const given = await asked;
    if (given.length === 0) return NONE;
    const ttlS = Math.min(...given.map(({ ttl }) => ttl));
    return { kind: 'found', value: bound(given.map(({ address }) => address)), ttlMs: ttlS * 1000 };
  } catch (error) {
    return failed(error);
  }
}

async function askLibrary(name: string): Promise<Answer<Addresses>> {
  try {
    const given = await dns.promises.lookup(name, { all: true });
    return found(
      given.map(({ address }) => address),
      LIBRARY_TTL_MS,
    );
  } catch (error) {
    return failed(error);
  }
}

function found(addresses: readonly string[], ttlMs: number): Answer<Addresses> {
  const v4 = bound(addresses.filter((address) => isIPv4(address)));
  const v6 = bound(addresses.filter((address) => isIPv6(address)));
  return v4.length + v6.length === 0 ? NONE : { kind: 'found', value: { v4, v6 }, ttlMs };
}

function failed(error: unknown): { readonly kind: 'none' } | { readonly kind: 'failed'; readonly code: string } {
  const code = (error as NodeJS.ErrnoException).code ?? 'UNKNOWN';
  return code === dns.NOTFOUND || code === dns.NODATA ? NONE : { kind: 'failed', code };
}

/** Sorted, so that the same answer in another order is the same. */
function bound(addresses: readonly string[]): string[] {
  return [...new Set(addresses)].sort().slice(0, MAX_ADDRESSES);
}

/** As AI_ADDRCONFIG (RFC 3493 section 6.1): an address nobody here could connect to is no endpoint. Loopback alone tells nothing. */
function usableFamilies(): Families {
  const all = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  const outward = all.filter(({ internal, address }) => !internal && !address.startsWith('fe80:'));
  if (outward.length === 0) return { v4: true, v6: true };
  const has = (family: string): boolean => outward.some((one) => one.family === family);
  return { v4: has('IPv4'), v6: has('IPv6') };
}

async function text(file: string): Promise<string> {
  return readFile(file, 'utf8').catch(() => '');
}
