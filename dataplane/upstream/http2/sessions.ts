/**
 * The HTTP/2 sessions of one worker to one endpoint. Requests go to the first one that has room, so that those which are not needed become
 * idle; another one is opened where none has, up to the bound; and beyond it they wait.
 */
import { type ProxiedClient, proxiedClient, sameClient } from '../dial/proxy-header.ts';
import type { Job } from '../job.ts';
import type { RequestOutcome, Target, Transport } from '../transport.ts';
import { Session, type SessionOwner } from './session.ts';

export class Sessions implements Transport, SessionOwner {
  private readonly target: Target;
  private readonly sessions: Session[] = [];
  private readonly queue: Job[] = [];
  /** Streams at a time over one session, as the endpoint said last. */
  private allowed = Number.POSITIVE_INFINITY;
  private draining = false;

  constructor(target: Target) {
    this.target = target;
  }

  get connections(): number {
    return this.sessions.length;
  }

  get pending(): number {
    return this.queue.length;
  }

  request(job: Job, fresh: boolean): RequestOutcome {
    const proxied = this.proxiedOf(job);
    for (const session of this.sessions) {
      if (session.room <= 0 || (fresh && session.served > 0) || !this.fits(session, proxied)) continue;
      session.take(job);
      return 'started';
    }
    if (this.mayOpen) {
      this.connect(job);
      return 'started';
    }
    if (this.queue.length >= this.target.maxPending) return 'overflow';
    this.queue.push(job);
    // Idle sessions of other clients make room.
    if (proxied !== null) this.sessions.find((session) => session.open && session.idle)?.leave();
    return 'queued';
  }

  withdraw(job: Job, heir: Job | null = null): boolean {
    const at = this.queue.indexOf(job);
    if (at >= 0) this.queue.splice(at, 1);
    else for (const session of this.sessions) if (session.desert(job, heir)) return true;
    return false;
  }

  get stalled(): boolean {
    let stalled = false;
    for (const session of this.sessions) {
      if (session.stalled) stalled = true;
      else if (session.open) return false;
    }
    return stalled;
  }

  release(): Job[] {
    return this.queue.splice(0).concat(...this.sessions.map((session) => session.disown()));
  }

  closeIdle(): void {
    for (const session of [...this.sessions]) if (session.open && session.idle) session.leave();
  }

  drain(): void {
    this.draining = true;
    for (const session of [...this.sessions]) this.onRoom(session);
  }

  onRoom(session: Session): void {
    this.fill(session);
    if (this.queue.length > 0 && session.proxied !== null && session.open && session.idle) session.leave();
    if (this.draining && session.idle && this.queue.length === 0) session.leave();
  }

  onLeaving(): void {
    this.serve();
  }

  onClosed(session: Session): void {
    this.sessions.splice(this.sessions.indexOf(session), 1);
    this.serve();
  }

  onLimit(streams: number): void {
    this.allowed = Math.max(1, streams);
  }

  /** One that takes no further streams counts no more: what ends over it is bounded by the requests themselves. */
  private get mayOpen(): boolean {
    let open = 0;
    for (const session of this.sessions) if (session.open) open++;
    return open < this.target.maxConnections;
  }

  private serve(): void {
    while (this.queue.length > 0 && this.mayOpen) {
      this.fill(this.connect(this.queue.shift() as Job));
    }
  }

  /** Those who wait, as far as they fit. */
  private fill(session: Session): void {
    for (let i = 0; i < this.queue.length && session.room > 0; ) {
      const job = this.queue[i] as Job;
      if (this.fits(session, this.proxiedOf(job))) {
        this.queue.splice(i, 1);
        session.take(job);
      } else i++;
    }
  }

  private proxiedOf({ exchange }: Job): ProxiedClient | null {
    return this.target.dialer.proxyProtocol === null || exchange === null ? null : proxiedClient(exchange);
  }

  /** With the PROXY protocol a session begins with its client's address, and carries nobody else's requests. */
  private fits({ proxied }: Session, client: ProxiedClient | null): boolean {
    return this.target.dialer.proxyProtocol === null || sameClient(proxied, client);
  }

  private connect(job: Job): Session {
    const session = new Session(this.target, this, this.allowed, this.proxiedOf(job));
    this.sessions.push(session);
    session.take(job);
    return session;
  }
}
