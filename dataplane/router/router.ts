/**
 * Host and path to rule. A request's host is looked up as it is, then under ever shorter wildcards (`*.a.b`, one or more
 * labels), then under `*`; where no rule of a host holds, the less specific host is asked: as if all rules were sorted by
 * Gateway API precedence and the first that matches were taken. A router never changes; the next one shares with it
 * every host and path that did not change.
 */
import type { Candidate, Match, Routable } from './candidate.ts';
import { Edit } from './edit.ts';
import {
  addCandidate,
  type Bucket,
  copyBucket,
  copyMap,
  emptyBucket,
  isEmptyBucket,
  matchPath,
  type PathEdit,
  removeCandidate,
  settle,
} from './paths.ts';
import type { RequestView } from './predicates.ts';

const SLASH = 0x2f;

export interface Router<T> {
  match(request: RequestView): Match<T> | null;
}

/** What leaves and what joins; a rule that changed does both. */
export interface RouterChange<T> {
  readonly removed: Iterable<Routable<T>>;
  readonly added: Iterable<Routable<T>>;
}

export class HostRouter<T> implements Router<T> {
  /** By full name. */
  readonly #exact: Map<string, Bucket<T>>;
  /** By what follows the star, with its dot: `.example.com`. */
  readonly #wildcard: Map<string, Bucket<T>>;
  readonly #any: Bucket<T> | null;
  /** How many nodes were made for this router and are not shared with the one before. */
  readonly made: number;

  private constructor(
    exact: Map<string, Bucket<T>>,
    wildcard: Map<string, Bucket<T>>,
    any: Bucket<T> | null,
    made: number,
  ) {
    this.#exact = exact;
    this.#wildcard = wildcard;
    this.#any = any;
    this.made = made;
  }

  static empty<T>(): HostRouter<T> {
    return new HostRouter<T>(new Map(), new Map(), null, 0);
  }

  match(request: RequestView): Match<T> | null {
    // `*` of OPTIONS and the authority of CONNECT are no paths (RFC 9112 section 3.2): no rule is about them.
    if (request.path.charCodeAt(0) !== SLASH) return null;
    const host = request.host;
    const bucket = this.#exact.get(host);
    if (bucket !== undefined) {
      const match = matchPath(bucket, request);
      if (match !== null) return match;
    }
    if (this.#wildcard.size !== 0) {
      for (let dot = host.indexOf('.', 1); dot > 0; dot = host.indexOf('.', dot + 1)) {
        const wildcard = this.#wildcard.get(host.slice(dot));
        if (wildcard !== undefined) {
          const match = matchPath(wildcard, request);
          if (match !== null) return match;
        }
      }
    }
    return this.#any === null ? null : matchPath(this.#any, request);
  }

  /** The next router. Its cost follows the change and the number of hosts, not the number of rules. Never throws. */
  next(change: RouterChange<T>): HostRouter<T> {
    const edit = new Edit();
    const removed = [...change.removed];
    const gone = new Set<Candidate<T>>();
    for (const routable of removed) for (const candidate of routable.candidates) gone.add(candidate);
    const step: PathEdit<T> = { edit, gone, unsorted: new Set(), parents: new Set() };
    const hosts: Hosts<T> = { exact: this.#exact, wildcard: this.#wildcard, any: this.#any };
    for (const routable of change.added) {
      for (const host of routable.hosts) {
        const bucket = ownBucket(hosts, host, edit);
        for (const candidate of routable.candidates) addCandidate(bucket, candidate, step);
      }
    }
    for (const routable of removed) {
      for (const host of routable.hosts) {
        if (bucketOf(hosts, host) === undefined) continue;
        const bucket = ownBucket(hosts, host, edit);
        for (const candidate of routable.candidates) removeCandidate(bucket, candidate, step);
        if (isEmptyBucket(bucket)) setBucket(hosts, host, null, edit);
      }
    }
    settle(step);
    return new HostRouter<T>(hosts.exact, hosts.wildcard, hosts.any, edit.made);
  }

  /** The bucket of a host as rules name it (`a.b`, `*.b`, `*`): for tests of what is shared. */
  bucket(host: string): Readonly<Bucket<T>> | undefined {
    return bucketOf({ exact: this.#exact, wildcard: this.#wildcard, any: this.#any }, host);
  }
}

interface Hosts<T> {
  exact: Map<string, Bucket<T>>;
  wildcard: Map<string, Bucket<T>>;
  any: Bucket<T> | null;
}

function bucketOf<T>(hosts: Hosts<T>, host: string): Bucket<T> | undefined {
  if (host === '*') return hosts.any ?? undefined;
  return host.startsWith('*.') ? hosts.wildcard.get(host.slice(1)) : hosts.exact.get(host);
}

function ownBucket<T>(hosts: Hosts<T>, host: string, edit: Edit): Bucket<T> {
  const old = bucketOf(hosts, host);
  const bucket = old === undefined ? emptyBucket<T>(edit) : edit.own(old, copyBucket);
  if (bucket !== old) setBucket(hosts, host, bucket, edit);
  return bucket;
}

function setBucket<T>(hosts: Hosts<T>, host: string, bucket: Bucket<T> | null, edit: Edit): void {
  if (host === '*') {
    hosts.any = bucket;
    return;
  }
  const wildcard = host.startsWith('*.');
  const table = edit.own(wildcard ? hosts.wildcard : hosts.exact, copyMap);
  const key = wildcard ? host.slice(1) : host;
  if (bucket === null) table.delete(key);
  else table.set(key, bucket);
  if (wildcard) hosts.wildcard = table;
  else hosts.exact = table;
}
