/** The HTTP/1.1 connections of one worker to one endpoint: reused last in, first out, bounded, with a bounded queue behind them. */
import { UpstreamConnection } from './connection.ts';
import { proxiedClient, sameClient } from './dial/proxy-header.ts';
import type { Job } from './job.ts';
import type { RequestOutcome, Target, Transport } from './transport.ts';

export class KeptConnections implements Transport {
  readonly target: Target;
  private readonly idle: UpstreamConnection[] = [];
  private open = 0;
  private readonly dialing: UpstreamConnection[] = [];
  private queue: Job[] = [];
  private draining = false;

  constructor(target: Target) {
    this.target = target;
  }

  get connections(): number {
    return this.open;
  }

  get pending(): number {
    return this.queue.length;
  }

  request(job: Job, fresh: boolean): RequestOutcome {
    if (this.target.dialer.proxyProtocol !== null) return this.requestOwn(job, fresh);
    if (!fresh) {
      for (let connection = this.idle.pop(); connection !== undefined; connection = this.idle.pop()) {
        if (connection.usable) {
          job.onReady(connection);
          return 'started';
        }
      }
    }
    if (this.open < this.target.maxConnections) {
      this.connect(job);
      return 'started';
    }
    if (this.queue.length >= this.target.maxPending) return 'overflow';
    this.queue.push(job);
    return 'queued';
  }

  /** Each connection begins with its client's address, and serves nobody else. */
  private requestOwn(job: Job, fresh: boolean): RequestOutcome {
    const client = job.exchange === null ? null : proxiedClient(job.exchange);
    const at = fresh ? -1 : this.idle.findLastIndex((one) => one.usable && sameClient(one.client, client));
    if (at >= 0) {
      const [connection] = this.idle.splice(at, 1);
      job.onReady(connection as UpstreamConnection);
      return 'started';
    }
    if (this.open < this.target.maxConnections) {
      this.connect(job);
      return 'started';
    }
    if (this.queue.length >= this.target.maxPending) return 'overflow';
    this.queue.push(job);
    // Idle ones are other clients': the oldest makes room.
    this.idle.shift()?.close();
    return 'queued';
  }

  withdraw(job: Job, heir: Job | null = null): boolean {
    const at = this.queue.indexOf(job);
    if (at >= 0) this.queue.splice(at, 1);
    else for (const connection of this.dialing) if (connection.desert(job, heir)) return true;
    return false;
  }

  get stalled(): boolean {
    const [oldest] = this.dialing;
    return oldest !== undefined && this.idle.length === 0 && oldest.stalled;
  }

  /** From a connection: it is made, or won't be. */
  dialed(connection: UpstreamConnection): void {
    this.dialing.splice(this.dialing.indexOf(connection), 1);
  }

  /** From a connection: its exchange is complete and it can serve the next. */
  free(connection: UpstreamConnection): void {
    connection.rest();
    if (connection.client !== null && this.queue.length > 0) {
      // It serves none of those who wait; they are connected for once it is gone.
      connection.close();
      return;
    }
    const job = this.queue.shift();
    if (job !== undefined) {
      job.onReady(connection);
      return;
    }
    if (this.draining) connection.close();
    else this.idle.push(connection);
  }

  /** From a connection: it is gone. */
  closed(connection: UpstreamConnection): void {
    this.open--;
    const at = this.idle.indexOf(connection);
    if (at >= 0) this.idle.splice(at, 1);
    if (this.open < this.target.maxConnections) {
      const job = this.queue.shift();
      if (job !== undefined) this.connect(job);
    }
  }

  release(): Job[] {
    const jobs = this.queue.splice(0);
    for (const connection of this.dialing) {
      const job = connection.disown();
      if (job !== null) jobs.push(job);
    }
    return jobs;
  }

  closeIdle(): void {
    for (const connection of this.idle.splice(0)) connection.close();
  }

  drain(): void {
    this.draining = true;
    this.closeIdle();
  }

  private connect(job: Job): void {
    this.open++;
    this.dialing.push(new UpstreamConnection(this, job));
  }
}
