/**
 * A second attempt beside one that is slow ("The Tail at Scale", Dean and Barroso: hedged requests). For requests without a body. The
 * one whose head comes first goes on; the other is abandoned.
 */
import type { ResponseHead } from '../../codec/response-head.ts';
import type { Exchange } from '../../pipeline/exchange.ts';
import type { Channel } from '../channel.ts';
import type { EndpointPool } from '../endpoint-pool.ts';
import type { Failure, Job } from '../job.ts';
import type { ForwardOptions } from '../seam.ts';
import { type Attempt, type AttemptFailure, UNDECIDED, type Verdict } from '../watcher.ts';

export interface HedgeOwner {
  /** Its response head is there: `take` it, or `close` it. */
  onHedgeHead(hedge: Hedge, head: ResponseHead): void;
  /** It has no response; what it held is given back, and the pool told. */
  onHedgeFailed(hedge: Hedge, failure: AttemptFailure): void;
}

export class Hedge implements Job, Attempt {
  readonly pool: EndpointPool;
  readonly chosenAtMs: number;
  verdict: Verdict = UNDECIDED;
  sentAtMs = 0;
  readonly exchange: Exchange;
  private readonly options: ForwardOptions;
  private readonly owner: HedgeOwner;
  /** ms for a response head; 0 is off. */
  private readonly timeoutMs: number;
  private channel: Channel | null = null;
  private repeated = false;
  private over = false;

  /** `pool` was picked for it, and is left in any case. */
  constructor(exchange: Exchange, pool: EndpointPool, options: ForwardOptions, timeoutMs: number, owner: HedgeOwner) {
    this.exchange = exchange;
    this.pool = pool;
    this.options = options;
    this.timeoutMs = timeoutMs;
    this.owner = owner;
    this.chosenAtMs = pool.wheel.now();
  }

  /** False: it would have to wait for a connection, which helps nobody. It is over then. */
  start(): boolean {
    if (this.pool.request(this, false) === 'started') return true;
    this.close();
    return false;
  }

  onReady(channel: Channel): void {
    this.channel = channel;
    channel.send(this, this.exchange, this.options, false, false);
    this.sentAtMs = this.pool.wheel.now();
    channel.deadline(this.timeoutMs);
  }

  onHead(head: ResponseHead): void {
    this.owner.onHedgeHead(this, head);
  }

  onGone(): void {
    this.fail('connect');
  }

  onCrowded(): void {
    this.request(false, 'connect');
  }

  onFailure(failure: Failure): void {
    const unanswered = failure === 'stale' || failure === 'no-upgrade' ? 'reset' : failure;
    if ((failure !== 'stale' && failure !== 'refused') || this.repeated) this.fail(unanswered);
    else {
      this.repeated = true;
      this.channel = null;
      this.request(failure === 'stale', unanswered);
    }
  }

  private request(fresh: boolean, otherwise: AttemptFailure): void {
    if (this.pool.request(this, fresh) === 'started') return;
    this.pool.withdraw(this);
    this.fail(otherwise);
  }

  onDeadline(): void {
    this.fail('timeout');
  }

  /** Its connection, in the middle of the response, for `job`. The attempt at `pool` goes on as the job's. */
  take(job: Job): Channel {
    const channel = this.channel as Channel;
    this.over = true;
    channel.handTo(job);
    return channel;
  }

  /** Nobody waits for it any more. */
  close(): void {
    if (this.over) return;
    this.over = true;
    if (this.channel !== null) this.channel.abandon();
    else this.pool.withdraw(this);
    this.pool.leave(this);
  }

  // Of the first attempt alone: what the client hears before the head comes from one endpoint.
  onInformational(): void {}
  onBody(): boolean {
    return true;
  }
  onComplete(): void {}
  onWritable(): void {}

  private fail(failure: AttemptFailure): void {
    if (this.over) return;
    this.pool.failed(this, failure);
    this.close();
    this.owner.onHedgeFailed(this, failure);
  }
}
