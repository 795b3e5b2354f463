/** Makes what stages may use from outside, once a worker. */
import type { Services } from '../stages/services.ts';
import type { WorkerSetup } from './messages.ts';

export interface WorkerServices {
  readonly services: Services;
  /** Ends connections. */
  close(): Promise<void>;
}

export function createServices(_setup: WorkerSetup): WorkerServices {
  return { services: {}, close: async () => {} };
}
