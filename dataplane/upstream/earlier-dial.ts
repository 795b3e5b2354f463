/**
 * Connections that take long are not waited for alone (RFC 8305, "Happy Eyeballs", over all endpoints instead of the addresses of one
 * name): after STALL_MS without TCP another endpoint is connected to beside it, and the first connection that is there takes the
 * request. Nothing was sent by then.
 */
import type { Exchange } from '../pipeline/exchange.ts';
import type { Channel } from './channel.ts';
import type { EndpointPool } from './endpoint-pool.ts';
import type { Failure, Job } from './job.ts';
import { type Attempt, UNDECIDED, type Verdict } from './watcher.ts';

/** RFC 8305 section 5: Connection Attempt Delay. */
export const STALL_MS = 250;

export interface Racer {
  /** The connection is there after all: `takeOver` it, or `giveBack`. */
  onEarlierReady(dial: EarlierDial, channel: Channel): void;
  /** It is not to be had. */
  onEarlierFailed(dial: EarlierDial): void;
}

/** The attempt at an endpoint that another one was begun beside. It ends by itself, so that who watches the endpoint hears of it. */
export class EarlierDial implements Job, Attempt {
  readonly exchange: Exchange;
  readonly pool: EndpointPool;
  readonly chosenAtMs: number;
  verdict: Verdict = UNDECIDED;
  /** Null: nobody waits for it any more. */
  owner: Racer | null;

  constructor(exchange: Exchange, pool: EndpointPool, chosenAtMs: number, owner: Racer | null) {
    this.exchange = exchange;
    this.pool = pool;
    this.chosenAtMs = chosenAtMs;
    this.owner = owner;
  }

  onReady(channel: Channel): void {
    if (this.owner === null) this.giveBack(channel);
    else this.owner.onEarlierReady(this, channel);
  }

  giveBack(channel: Channel): void {
    channel.giveBack();
    this.pool.leave(this);
  }

  onFailure(failure: Failure): void {
    this.pool.failed(this, failure === 'connect-timeout' ? 'connect-timeout' : 'connect');
    this.onGone();
  }

  onGone(): void {
    this.pool.leave(this);
    this.owner?.onEarlierFailed(this);
  }

  onCrowded(): void {
    this.onGone();
  }

  onInformational(): void {}
  onHead(): void {}
  onBody(): boolean {
    return true;
  }
  onComplete(): void {}
  onWritable(): void {}
  onDeadline(): void {}
}
