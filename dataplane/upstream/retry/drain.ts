/** Reads the rest of a response that nobody wants, so that its connection can serve again. */
import type { Release } from '../../pipeline/exchange.ts';
import type { Channel } from '../channel.ts';
import type { Job } from '../job.ts';

/** Of a longer body the connection is closed: reading it costs more than connecting. */
const DRAIN_BYTES = 16 * 1024;
const DRAIN_MS = 1000;

/** `contentLength`: of the response whose head the connection has just told; below 0: not announced. */
export function drain(channel: Channel, contentLength: number): void {
  if (!channel.requestDone || contentLength > DRAIN_BYTES) {
    channel.abandon();
    return;
  }
  channel.deadline(DRAIN_MS);
  channel.handTo(new Drain(channel));
  channel.proceed();
}

class Drain implements Job {
  readonly exchange = null;
  private readonly channel: Channel;
  private bytes = 0;

  constructor(channel: Channel) {
    this.channel = channel;
  }

  onBody(chunk: Uint8Array, release: Release): boolean {
    this.bytes += chunk.length;
    if (release !== null) release();
    if (this.bytes > DRAIN_BYTES) this.channel.abandon();
    return true;
  }

  onDeadline(): void {
    this.channel.abandon();
  }

  onReady(): void {}
  onInformational(): void {}
  onHead(): void {}
  onComplete(): void {}
  onWritable(): void {}
  onGone(): void {}
  onCrowded(): void {}
  onFailure(): void {}
}
