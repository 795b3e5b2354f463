/** Makes what stages may use from outside, once a worker. */
import { Outbound } from '../outbound/outbound.ts';
import type { Services } from '../stages/services.ts';
import type { WorkerSetup } from './messages.ts';

export interface WorkerServices {
  readonly services: Services;
  /** Ends connections. */
  close(): Promise<void>;
}

export function createServices(_setup: WorkerSetup): WorkerServices {
  const http = new Outbound();
  return { services: { http }, close: () => http.close() };
}
