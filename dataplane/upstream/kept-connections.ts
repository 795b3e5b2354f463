/** The HTTP/1.1 connections of one worker to one endpoint: reused last in, first out, bounded, with a bounded queue behind them. */
import { UpstreamConnection } from './connection.ts';
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

  withdraw(job: Job): void {
    const at = this.queue.indexOf(job);
    if (at >= 0) this.queue.splice(at, 1);
    else for (const connection of this.dialing) if (connection.desert(job)) return;
  }

  /** From a connection: it is made, or won't be. */
  dialed(connection: UpstreamConnection): void {
    this.dialing.splice(this.dialing.indexOf(connection), 1);
  }

  /** From a connection: its exchange is complete and it can serve the next. */
  free(connection: UpstreamConnection): void {
    connection.rest();
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

  drain(): void {
    this.draining = true;
    for (const connection of this.idle.splice(0)) connection.close();
  }

  private connect(job: Job): void {
    this.open++;
    this.dialing.push(new UpstreamConnection(this, job));
  }
}
