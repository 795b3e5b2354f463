/**
 * Holds the Lease (coordination.k8s.io/v1) that says which replica writes status, by the algorithm of client-go's leader
 * election: a holder counts as gone when its record has not changed for the lease's duration by the clock of whoever looks,
 * so that clocks of two machines are never compared.
 */
import type { ApiServer } from './api-server.ts';
import { isApiStatus } from './api-server.ts';
import type { Clock } from './clock.ts';
import { describeError } from './errors.ts';
import type { Log } from './log.ts';

export interface LeaderOptions {
  readonly api: ApiServer;
  readonly namespace: string;
  readonly name: string;
  /** Unique among replicas. */
  readonly identity: string;
  readonly durationMs: number;
  /** A holder that could not renew for this long steps down; shorter than the duration. */
  readonly renewMs: number;
  readonly retryMs: number;
  readonly clock: Clock;
  readonly log: Log;
  readonly onChange: (leader: boolean) => void;
}

interface Lease {
  readonly apiVersion: 'coordination.k8s.io/v1';
  readonly kind: 'Lease';
  readonly metadata: { readonly name: string; readonly namespace: string; readonly resourceVersion?: string };
  readonly spec?: LeaseSpec;
}

interface LeaseSpec {
  readonly holderIdentity?: string;
  readonly leaseDurationSeconds?: number;
  readonly acquireTime?: string;
  readonly renewTime?: string;
  readonly leaseTransitions?: number;
}

export class LeaderElection {
  readonly #options: LeaderOptions;
  #leader = false;
  #stopped = false;
  #renewedAtMs = 0;
  /** The foreign record seen last, and when it was first seen. */
  #observed: { readonly record: string; readonly atMs: number } | null = null;
  #turn: Promise<void> | null = null;
  #cancel: () => void = () => {};

  constructor(options: LeaderOptions) {
    this.#options = options;
  }

  get leader(): boolean {
    return this.#leader;
  }

  start(): void {
    this.#schedule(0);
  }

  /** Gives the Lease back, so that another replica need not wait for it to run out. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancel();
    await this.#turn;
    if (!this.#leader) return;
    this.#set(false);
    try {
      const lease = await this.#get();
      if (lease?.spec?.holderIdentity !== this.#options.identity) return;
      await this.#put({
        ...lease,
        spec: { ...lease.spec, holderIdentity: '', leaseDurationSeconds: 1, renewTime: this.#time() },
      });
    } catch (error) {
      this.#options.log.warn(
        { error: describeError(error) },
        'the Lease could not be given back: it runs out by itself',
      );
    }
  }

  #schedule(delayMs: number): void {
    if (this.#stopped) return;
    this.#cancel = this.#options.clock.after(delayMs, () => {
      this.#turn = this.#try().finally(() => {
        this.#turn = null;
        this.#schedule(this.#options.retryMs * (1 + 0.2 * this.#options.clock.random()));
      });
    });
  }

  async #try(): Promise<void> {
    const { clock, renewMs, log } = this.#options;
    // From before the request: what it writes is that old when the answer comes.
    const atMs = clock.now();
    const cancelDeadline = this.#leader
      ? clock.after(Math.max(0, this.#renewedAtMs + renewMs - atMs), () => this.#set(false))
      : () => {};
    try {
      const held = await this.#acquireOrRenew(atMs);
      if (held) this.#renewedAtMs = atMs;
      this.#set(held);
    } catch (error) {
      log.warn({ error: describeError(error) }, 'the Lease could not be read or written');
      if (this.#leader && clock.now() - this.#renewedAtMs >= renewMs) this.#set(false);
    } finally {
      cancelDeadline();
    }
  }

  async #acquireOrRenew(atMs: number): Promise<boolean> {
    const { identity, durationMs } = this.#options;
    const lease = await this.#get();
    if (lease === null) return await this.#create();
    const spec = lease.spec ?? {};
    const mine = spec.holderIdentity === identity;
    if (!mine && spec.holderIdentity !== undefined && spec.holderIdentity !== '' && !this.#expired(spec, atMs))
      return false;
    const now = this.#time();
    const next: LeaseSpec = {
      holderIdentity: identity,
      leaseDurationSeconds: Math.ceil(durationMs / 1000),
      acquireTime: mine ? (spec.acquireTime ?? now) : now,
      renewTime: now,
      leaseTransitions: (spec.leaseTransitions ?? 0) + (mine ? 0 : 1),
    };
    return await this.#won(this.#put({ ...lease, spec: next }));
  }

  #expired(spec: LeaseSpec, atMs: number): boolean {
    const record = `${spec.holderIdentity} ${spec.renewTime} ${spec.leaseTransitions}`;
    if (this.#observed?.record !== record) this.#observed = { record, atMs };
    const durationMs =
      spec.leaseDurationSeconds === undefined ? this.#options.durationMs : spec.leaseDurationSeconds * 1000;
    return atMs - this.#observed.atMs >= durationMs;
  }

  #create(): Promise<boolean> {
    const { api, namespace, name, identity, durationMs } = this.#options;
    const now = this.#time();
    const lease: Lease = {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { name, namespace },
      spec: {
        holderIdentity: identity,
        leaseDurationSeconds: Math.ceil(durationMs / 1000),
        acquireTime: now,
        renewTime: now,
        leaseTransitions: 0,
      },
    };
    return this.#won(
      api.request({ method: 'POST', path: this.#path(false), body: lease, timeoutMs: this.#timeoutMs() }),
    );
  }

  /** Another replica may have been faster: that is no error. */
  async #won(write: Promise<unknown>): Promise<boolean> {
    try {
      await write;
      return true;
    } catch (error) {
      if (isApiStatus(error, 409)) return false;
      throw error;
    }
  }

  async #get(): Promise<Lease | null> {
    try {
      return await this.#options.api.request<Lease>({ path: this.#path(true), timeoutMs: this.#timeoutMs() });
    } catch (error) {
      if (isApiStatus(error, 404)) return null;
      throw error;
    }
  }

  #put(lease: Lease): Promise<unknown> {
    return this.#options.api.request({
      method: 'PUT',
      path: this.#path(true),
      body: lease,
      timeoutMs: this.#timeoutMs(),
    });
  }

  #path(named: boolean): string {
    const { namespace, name } = this.#options;
    const leases = `/apis/coordination.k8s.io/v1/namespaces/${encodeURIComponent(namespace)}/leases`;
    return named ? `${leases}/${encodeURIComponent(name)}` : leases;
  }

  #timeoutMs(): number {
    return Math.max(1000, this.#options.renewMs / 2);
  }

  /** metav1.MicroTime */
  #time(): string {
    return this.#options.clock.date().toISOString().replace('Z', '000Z');
  }

  #set(leader: boolean): void {
    if (this.#leader === leader) return;
    this.#leader = leader;
    this.#options.log.info(
      { event: 'leader', leader },
      leader ? 'this replica writes status' : 'this replica no longer writes status',
    );
    this.#options.onChange(leader);
  }
}
