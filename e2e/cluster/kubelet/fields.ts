import type { Container, Pod, ResourceFieldRef } from './types.ts';

/** What a pod cannot know from its own object when its containers start. */
export interface PodFacts {
  podAddress: string;
  nodeAddress: string;
}

/** The value of a downward-API field (`metadata.name`, `metadata.labels['app']`, `status.podIP`, …). */
export function fieldValue(pod: Pod, path: string, facts: PodFacts): string {
  const entry = path.match(/^metadata\.(labels|annotations)\['(.+)'\]$/);
  if (entry !== null) return pod.metadata[entry[1] as 'labels' | 'annotations']?.[entry[2] ?? ''] ?? '';
  switch (path) {
    case 'metadata.name':
      return pod.metadata.name;
    case 'metadata.namespace':
      return pod.metadata.namespace ?? 'default';
    case 'metadata.uid':
      return pod.metadata.uid;
    case 'metadata.labels':
      return keyValueLines(pod.metadata.labels);
    case 'metadata.annotations':
      return keyValueLines(pod.metadata.annotations);
    case 'spec.nodeName':
      return pod.spec.nodeName ?? '';
    case 'spec.serviceAccountName':
      return pod.spec.serviceAccountName ?? 'default';
    case 'status.podIP':
    case 'status.podIPs':
      return facts.podAddress;
    case 'status.hostIP':
    case 'status.hostIPs':
      return facts.nodeAddress;
    default:
      throw new Error(`unsupported field ${path}`);
  }
}

/** The value of `limits.cpu`, `requests.memory` and so on, in units of the divisor, rounded up. */
export function resourceValue(pod: Pod, own: Container | undefined, reference: ResourceFieldRef): string {
  const container =
    reference.containerName === undefined
      ? own
      : pod.spec.containers.find(({ name }) => name === reference.containerName);
  const [list = '', resource = ''] = reference.resource.split('.');
  const text = container?.resources?.[list as 'limits' | 'requests']?.[resource];
  // Without a limit a container may use the whole Node.
  const amount = text === undefined ? (resource === 'cpu' ? 32 : 64 * 2 ** 30) : quantity(text);
  const divisor = reference.divisor === undefined || reference.divisor === '0' ? 1 : quantity(reference.divisor);
  return String(Math.ceil(amount / divisor - 1e-9));
}

const suffixes: Readonly<Record<string, number>> = {
  m: 1e-3,
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
};

/** A Kubernetes quantity as a number: "500m" is 0.5, "1Gi" is 1073741824. */
export function quantity(text: string): number {
  const match = text.match(/^([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)([A-Za-z]*)$/);
  const factor = suffixes[match?.[2] ?? ''];
  if (match?.[1] === undefined || factor === undefined) throw new Error(`not a quantity: ${text}`);
  return Number(match[1]) * factor;
}

function keyValueLines(values: Readonly<Record<string, string>> = {}): string {
  return Object.entries(values)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key}=${JSON.stringify(value)}`)
    .join('\n');
}
