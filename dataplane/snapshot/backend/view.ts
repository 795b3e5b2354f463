/** What a data plane finds out about a backend by itself, once for all its workers: addresses behind names, and which endpoints serve. */
import type { Endpoint } from '../resources.ts';

export interface BackendView {
  /** Instead of those the snapshot holds, names resolved; null: those of the snapshot. Sorted by address, then port. */
  readonly endpoints: readonly Endpoint[] | null;
  /** `address:port` (endpointName) of those that fail active health checks. */
  readonly unhealthy: readonly string[];
}

export const NOTHING_SEEN: BackendView = { endpoints: null, unhealthy: [] };

export function endpointName({ address, port }: Pick<Endpoint, 'address' | 'port'>): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}
