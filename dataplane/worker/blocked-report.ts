/** Tells the supervisor which endpoints this worker sends no requests to, when that changes: at once, then at most every REPORT_EVERY_MS. */
import type { EndpointState, Upstream } from '../upstream/upstream.ts';
import type { BlockedEndpoint } from './messages.ts';

const REPORT_EVERY_MS = 200;
/** Of one backend; who blocks more is told of so many. */
const MAX_ENDPOINTS = 1_000;

export class BlockedReport {
  readonly #upstreams: Iterable<Pick<Upstream, 'id' | 'states'>>;
  readonly #tell: (backends: ReadonlyMap<string, readonly BlockedEndpoint[]>) => void;
  readonly #changed = new Set<string>();
  /** What was told last, as text, by backend; nothing for those that block none. */
  readonly #told = new Map<string, string>();
  #timer: NodeJS.Timeout | null = null;
  #closed = false;

  constructor(
    upstreams: Iterable<Pick<Upstream, 'id' | 'states'>>,
    tell: (backends: ReadonlyMap<string, readonly BlockedEndpoint[]>) => void,
  ) {
    this.#upstreams = upstreams;
    this.#tell = tell;
  }

  /** Something about the backend may have. Cheap. */
  changed(id: string): void {
    this.#changed.add(id);
    // In a turn of its own: who calls is about to do more of it.
    if (this.#timer === null && !this.#closed) this.#timer = setTimeout(() => this.#flush(), 0).unref();
  }

  close(): void {
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  #flush(): void {
    const news = new Map<string, readonly BlockedEndpoint[]>();
    const states = new Map<string, readonly EndpointState[]>();
    for (const upstream of this.#upstreams) {
      if (this.#changed.has(upstream.id)) states.set(upstream.id, upstream.states());
    }
    for (const id of this.#changed) {
      const blocked = (states.get(id) ?? []).flatMap(blockedOf).slice(0, MAX_ENDPOINTS);
      const text = blocked.length === 0 ? '' : JSON.stringify(blocked);
      if (text === (this.#told.get(id) ?? '')) continue;
      if (text === '') this.#told.delete(id);
      else this.#told.set(id, text);
      news.set(id, blocked);
    }
    this.#changed.clear();
    if (news.size > 0) this.#tell(news);
    this.#timer = setTimeout(() => {
      this.#timer = null;
      if (this.#changed.size > 0) this.#flush();
    }, REPORT_EVERY_MS).unref();
  }
}

function blockedOf({ name, blocked }: EndpointState): BlockedEndpoint[] {
  if (blocked.includes('ejected')) return [{ name, by: 'ejected' }];
  return blocked.includes('open') ? [{ name, by: 'open' }] : [];
}
