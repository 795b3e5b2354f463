/** The addresses of all controller replicas, from the EndpointSlices of their headless Service. */
import { isIPv6 } from 'node:net';
import type { ApiServer } from '../api-server.ts';
import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import type { EndpointSliceObject, ObjectEvent } from '../store/objects.ts';
import { Collection } from './client.ts';
import { endpointSlices } from './kinds.ts';

export interface PeerDiscoveryOptions {
  readonly api: ApiServer;
  readonly namespace: string;
  readonly service: string;
  readonly clock: Clock;
  readonly log: Log;
  /** `host:port` of every replica, this one among them, sorted. */
  readonly onAddresses: (addresses: readonly string[]) => void;
}

const PORT_NAME = 'grpc';

export class PeerDiscovery {
  readonly #collection: Collection;
  readonly #slices = new Map<string, EndpointSliceObject>();

  constructor(options: PeerDiscoveryOptions) {
    const { api, namespace, service, clock, log, onAddresses } = options;
    this.#collection = new Collection({
      api,
      kind: { ...endpointSlices, labelSelector: `kubernetes.io/service-name=${service}` },
      namespace,
      clock,
      log,
      onEvents: (events) => onAddresses(this.#take(events)),
      onListed: () => {},
    });
  }

  start(): void {
    this.#collection.start();
  }

  stop(): Promise<void> {
    return this.#collection.stop();
  }

  #take(events: readonly ObjectEvent[]): string[] {
    for (const event of events) {
      if (event.type === 'upsert' && event.object.kind === 'EndpointSlice') {
        this.#slices.set(event.object.metadata.name, event.object);
      } else if (event.type === 'delete') this.#slices.delete(event.ref.name);
    }
    return addressesOf(this.#slices.values());
  }
}

/** Replicas that are not ready yet are peers too: they report that they serve nobody. */
export function addressesOf(slices: Iterable<EndpointSliceObject>): string[] {
  const found = new Set<string>();
  for (const { ports, endpoints } of slices) {
    const port = (ports?.find(({ name }) => name === PORT_NAME) ?? ports?.[0])?.port;
    if (port === undefined) continue;
    for (const { addresses, conditions } of endpoints ?? []) {
      if (conditions?.terminating === true) continue;
      for (const address of addresses) found.add(`${isIPv6(address) ? `[${address}]` : address}:${port}`);
    }
  }
  return [...found].sort();
}
