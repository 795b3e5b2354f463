import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { run } from './process.ts';

/** The addresses of a run. They exist only inside its network namespace, so every run has the same. */
export const addresses = {
  controlPlane: '10.240.0.10',
  podRange: '10.244.0.0/16',
  serviceRange: '10.96.0.0/16',
  kubernetesService: '10.96.0.1',
  dnsService: '10.96.0.10',
  domain: 'cluster.local',
} as const;

/** The address of the n-th Node, from 0. */
export function nodeAddress(index: number): string {
  return `10.240.0.${11 + index}`;
}

/** argv that runs a program in a network namespace and leaves the mounts as they are. */
export function inNamespace(name: string, argv: readonly string[]): string[] {
  return ['nsenter', `--net=/run/netns/${name}`, '--', ...argv];
}

/** argv that runs a program in a network namespace with the cluster's resolv.conf in place of the machine's. */
export function inNamespaceWithDns(name: string, argv: readonly string[]): string[] {
  return ['ip', 'netns', 'exec', name, ...argv];
}

/**
 * Makes the namespace that plays the network of all Nodes: their addresses on one end of a veth pair whose other end
 * stays inside, and no way out. The route for the service range is there so that a look-up succeeds before kube-proxy
 * rewrites the address.
 */
export async function createNodeNetwork(name: string, nodeCount: number): Promise<void> {
  await run(['ip', 'netns', 'add', name]);
  const ip = (...args: string[]) => run(['ip', '-n', name, ...args]);
  await ip('link', 'set', 'lo', 'up');
  await ip('link', 'add', 'node0', 'type', 'veth', 'peer', 'name', 'node0-peer');
  await ip('link', 'set', 'node0', 'up');
  await ip('link', 'set', 'node0-peer', 'up');
  for (const address of [addresses.controlPlane, ...Array.from({ length: nodeCount }, (_, i) => nodeAddress(i))]) {
    await ip('addr', 'add', `${address}/32`, 'dev', 'node0');
  }
  await ip('route', 'add', addresses.serviceRange, 'dev', 'node0', 'src', addresses.controlPlane);
  // A pod address nobody has answers "unreachable" at once, instead of a timeout.
  await ip('route', 'add', 'unreachable', addresses.podRange);
  await run(
    inNamespace(name, ['sysctl', '-q', '-w', 'net.ipv4.ip_forward=1', 'net.ipv4.ip_local_port_range=15000 60999']),
  );
  mkdirSync(`/etc/netns/${name}`, { recursive: true });
  writeFileSync(
    `/etc/netns/${name}/resolv.conf`,
    `nameserver ${addresses.dnsService}\nsearch default.svc.${addresses.domain} svc.${addresses.domain} ${addresses.domain}\noptions ndots:5\n`,
  );
}

/** The run's namespace and those of its pods, as far as they exist. */
export function listNamespaces(name: string): string[] {
  try {
    return readdirSync('/run/netns').filter((entry) => entry === name || entry.startsWith(`${name}-`));
  } catch {
    return [];
  }
}

/** Ends every process in the run's namespaces and deletes these; the processes are the run's by being there. */
export async function removeNetworks(name: string): Promise<void> {
  for (const namespace of listNamespaces(name)) {
    for (let attempt = 0; attempt < 20; attempt += 1) {
      const { stdout } = await run(['ip', 'netns', 'pids', namespace], { allowFailure: true });
      const pids = stdout
        .split('\n')
        .map(Number)
        .filter((pid) => pid > 1 && pid !== process.pid);
      if (pids.length === 0) break;
      for (const pid of pids) killQuietly(pid);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await run(['ip', 'netns', 'del', namespace], { allowFailure: true });
  }
  rmSync(`/etc/netns/${name}`, { recursive: true, force: true });
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has just ended by itself.
  }
}
