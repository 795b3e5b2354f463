/** Reads the rest of a response that nobody wants, so that its connection can serve again. */
import type { Release } from '../../pipeline/exchange.ts';
import type { UpstreamConnection } from '../connection.ts';
import type { Job } from '../job.ts';

/** Of a longer body the connection is closed: reading it costs more than connecting. */
const DRAIN_BYTES = 16 * 1024;
const DRAIN_MS = 1000;

/** `contentLength`: of the response whose head the connection has just told; below 0: not announced. */
export function drain(connection: UpstreamConnection, contentLength: number): void {
  if (!connection.requestDone || contentLength > DRAIN_BYTES) {
    connection.abandon();
    return;
  }
  connection.deadline(DRAIN_MS);
  connection.handTo(new Drain(connection));
  connection.proceed();
}

class Drain implements Job {
  private readonly connection: UpstreamConnection;
  private bytes = 0;

  constructor(connection: UpstreamConnection) {
    this.connection = connection;
  }

  onBody(chunk: Uint8Array, release: Release): boolean {
    this.bytes += chunk.length;
    if (release !== null) release();
    if (this.bytes > DRAIN_BYTES) this.connection.abandon();
    return true;
  }

  onDeadline(): void {
    this.connection.abandon();
  }

  onReady(): void {}
  onInformational(): void {}
  onHead(): void {}
  onComplete(): void {}
  onWritable(): void {}
  onGone(): void {}
  onFailure(): void {}
}
