import { setTimeout as sleep } from 'node:timers/promises';
import { type ApiClient, ApiError } from './api.ts';
import { type KubeletConfig, kubeletPort } from './config.ts';

/** How often the Node's lease is renewed; the controllers call a Node dead after 40 to 50 s of silence. */
const leaseRenewMs = 10_000;
const leaseSeconds = 40;
const statusEveryMs = 60_000;

/** Nothing is enforced, so a Node offers more than tests ask for. */
const capacity = { cpu: '32', memory: '64Gi', pods: '110', 'ephemeral-storage': '100Gi' };

/** Makes the Node object known (Ready from the first moment) and returns the podCIDR the controllers give it. */
export async function registerNode(api: ApiClient, config: KubeletConfig, timeoutMs: number): Promise<string> {
  const end = Date.now() + timeoutMs;
  for (;;) {
    try {
      const node = await createOrGet(api, config);
      if (node.spec?.podCIDR !== undefined) return node.spec.podCIDR;
    } catch (error) {
      if (Date.now() > end) throw error;
    }
    if (Date.now() > end) throw new Error(`Node ${config.nodeName} was given no podCIDR in ${timeoutMs} ms`);
    await sleep(150);
  }
}

interface NodeObject {
  spec?: { podCIDR?: string };
}

async function createOrGet(api: ApiClient, config: KubeletConfig): Promise<NodeObject> {
  try {
    return await api.request<NodeObject>('GET', `/api/v1/nodes/${config.nodeName}`);
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 404) throw error;
  }
  return api.request<NodeObject>('POST', '/api/v1/nodes', {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name: config.nodeName,
      labels: {
        'kubernetes.io/hostname': config.nodeName,
        'kubernetes.io/os': 'linux',
        'kubernetes.io/arch': process.arch === 'x64' ? 'amd64' : process.arch,
        'topology.kubernetes.io/zone': config.zone,
      },
    },
    status: nodeStatus(config),
  });
}

function nodeStatus(config: KubeletConfig): object {
  const now = new Date().toISOString();
  const condition = (type: string, status: 'True' | 'False', reason: string, message: string) => ({
    type,
    status,
    reason,
    message,
    lastHeartbeatTime: now,
    lastTransitionTime: now,
  });
  return {
    capacity,
    allocatable: capacity,
    addresses: [
      { type: 'InternalIP', address: config.address },
      { type: 'Hostname', address: config.nodeName },
    ],
    daemonEndpoints: { kubeletEndpoint: { Port: kubeletPort } },
    conditions: [
      condition('MemoryPressure', 'False', 'KubeletHasSufficientMemory', 'kubelet has sufficient memory available'),
      condition('DiskPressure', 'False', 'KubeletHasNoDiskPressure', 'kubelet has no disk pressure'),
      condition('PIDPressure', 'False', 'KubeletHasSufficientPID', 'kubelet has sufficient PID available'),
      condition('Ready', 'True', 'KubeletReady', 'the process kubelet is posting ready status'),
    ],
    nodeInfo: {
      architecture: process.arch === 'x64' ? 'amd64' : process.arch,
      bootID: config.nodeName,
      containerRuntimeVersion: 'process://1',
      kernelVersion: 'host',
      kubeProxyVersion: '',
      kubeletVersion: config.version,
      machineID: config.nodeName,
      operatingSystem: 'linux',
      osImage: 'local processes',
      systemUUID: config.nodeName,
    },
  };
}

/** Renews the lease and refreshes the status until the signal; failures are tried again at the next beat. */
export async function keepNodeAlive(api: ApiClient, config: KubeletConfig, signal: AbortSignal): Promise<void> {
  let lastStatus = Date.now();
  while (!signal.aborted) {
    try {
      await renewLease(api, config);
      if (Date.now() - lastStatus >= statusEveryMs) {
        await api.request('PATCH', `/api/v1/nodes/${config.nodeName}/status`, heartbeat(), 'strategic');
        lastStatus = Date.now();
      }
    } catch (error) {
      console.error(`node heartbeat: ${(error as Error).message}`);
    }
    await sleep(leaseRenewMs, undefined, { signal }).catch(() => undefined);
  }
}

function heartbeat(): object {
  return { status: { conditions: [{ type: 'Ready', lastHeartbeatTime: new Date().toISOString() }] } };
}

async function renewLease(api: ApiClient, config: KubeletConfig): Promise<void> {
  const collection = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases';
  const renewTime = new Date().toISOString().replace('Z', '000Z');
  try {
    await api.request('PATCH', `${collection}/${config.nodeName}`, { spec: { renewTime } }, 'merge');
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 404) throw error;
    await api.request('POST', collection, {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { name: config.nodeName, namespace: 'kube-node-lease' },
      spec: { holderIdentity: config.nodeName, leaseDurationSeconds: leaseSeconds, renewTime },
    });
  }
}
