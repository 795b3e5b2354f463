import { createHash } from 'node:crypto';
import { run } from '../process.ts';

/** The pod's side of the link always talks to this address, as with Calico: nobody has it, a fixed neighbour entry answers. */
const gateway = '169.254.1.1';
const hostMac = 'ee:ee:ee:ee:ee:ee';

/** A pod's network: a namespace of its own, joined to the Node's by a veth pair. */
export interface PodNetwork {
  namespace: string;
  address: string;
}

/** Hands out the addresses of a Node's podCIDR; a freed one comes back last, so that stale connections meet nobody. */
export class AddressPool {
  readonly #prefix: string;
  readonly #used = new Set<number>();
  #last = 1;

  /** `podCidr` is a /24. */
  constructor(podCidr: string) {
    const match = podCidr.match(/^(\d+\.\d+\.\d+)\.0\/24$/);
    if (match?.[1] === undefined) throw new Error(`podCIDR ${podCidr}: expected a /24`);
    this.#prefix = match[1];
  }

  take(): string {
    for (let step = 1; step <= 253; step += 1) {
      const candidate = ((this.#last - 2 + step) % 253) + 2;
      if (this.#used.has(candidate)) continue;
      this.#used.add(candidate);
      this.#last = candidate;
      return `${this.#prefix}.${candidate}`;
    }
    throw new Error(`no free address left in ${this.#prefix}.0/24`);
  }

  release(address: string): void {
    this.#used.delete(Number(address.split('.')[3]));
  }
}

export async function createPodNetwork(
  nodeNamespace: string,
  nodeAddress: string,
  podUid: string,
  address: string,
): Promise<PodNetwork> {
  const short = createHash('sha256').update(podUid).digest('hex').slice(0, 10);
  const namespace = `${nodeNamespace}-${short}`;
  const link = `pod${short}`;
  await run(['ip', 'netns', 'add', namespace]);
  await run(['ip', '-n', nodeNamespace, '-batch', '-'], {
    input: [
      `link add ${link} address ${hostMac} type veth peer name eth0 netns ${namespace}`,
      `link set ${link} up`,
      `route add ${address}/32 dev ${link} src ${nodeAddress}`,
    ].join('\n'),
  });
  await run(['ip', '-n', namespace, '-batch', '-'], {
    input: [
      'link set lo up',
      'link set eth0 up',
      `addr add ${address}/32 dev eth0`,
      `route add ${gateway} dev eth0 scope link`,
      `neigh add ${gateway} lladdr ${hostMac} dev eth0 nud permanent`,
      `route add default via ${gateway} dev eth0`,
    ].join('\n'),
  });
  return { namespace, address };
}

/** Deleting the namespace deletes both ends of the link and the Node's route with them. */
export async function removePodNetwork(network: PodNetwork): Promise<void> {
  await run(['ip', 'netns', 'del', network.namespace], { allowFailure: true });
}
