/** Endpoints as the compiler sends them: sorted, each once. Pure. */

export interface EndpointModel {
  /** An address, or a DNS name; with a dot at its end no search domain completes it. */
  readonly address: string;
  readonly port: number;
  readonly weight: number;
  readonly zone?: string;
  /** Sorted; absent: all. */
  readonly forZones?: readonly string[];
  /** Absent: 0. */
  readonly priority?: number | undefined;
}

/** By address, then port; of several with both the same, one. */
export function sortedEndpoints(endpoints: readonly EndpointModel[]): EndpointModel[] {
  const unique = new Map<string, EndpointModel>();
  for (const endpoint of [...endpoints].sort(byContent)) {
    const key = `${endpoint.address} ${endpoint.port}`;
    if (!unique.has(key)) unique.set(key, endpoint);
  }
  return [...unique.values()];
}

function byContent(a: EndpointModel, b: EndpointModel): number {
  return (
    compare(a.address, b.address) ||
    a.port - b.port ||
    (a.priority ?? 0) - (b.priority ?? 0) ||
    b.weight - a.weight ||
    compare(a.zone ?? '', b.zone ?? '') ||
    compare(a.forZones?.join() ?? '', b.forZones?.join() ?? '')
  );
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
