import { readFileSync } from 'node:fs';
import { createApiClient } from './api.ts';
import type { KubeletConfig } from './config.ts';
import { createEventRecorder } from './events.ts';
import { keepNodeAlive, registerNode } from './node.ts';
import { ObjectCache } from './objects.ts';
import { PodWorker } from './pod.ts';
import { AddressPool } from './pod-network.ts';
import { startServer } from './server.ts';
import type { Pod } from './types.ts';

const registerTimeoutMs = 60_000;
/** Longest the pods are given to end when the kubelet is stopped; the cluster is going down then. */
const shutdownMs = 2_000;

// One pod's trouble must not end the others' kubelet.
process.on('unhandledRejection', (error) => console.error('unhandled:', error));

const configPath = process.argv[2];
if (configPath === undefined) throw new Error('usage: node kubelet/main.ts CONFIG.json');
await runKubelet(JSON.parse(readFileSync(configPath, 'utf8')) as KubeletConfig);

/** A kubelet whose containers are processes: registers the Node, follows the pods bound to it, and runs them. */
async function runKubelet(config: KubeletConfig): Promise<void> {
  const text = (file: string) => readFileSync(file, 'utf8');
  const api = createApiClient({
    server: config.server,
    ca: text(config.authorityFile),
    cert: text(config.certFile),
    key: text(config.keyFile),
  });
  const stopping = new AbortController();
  const podCidr = await registerNode(api, config, registerTimeoutMs);
  console.log(`Node ${config.nodeName}: pods get addresses of ${podCidr}`);
  void keepNodeAlive(api, config, stopping.signal);
  const services = {
    api,
    config,
    objects: new ObjectCache(api),
    addresses: new AddressPool(podCidr),
    events: createEventRecorder(api, config.nodeName),
  };
  const workers = new Map<string, PodWorker>();

  const take = (pod: Pod) => {
    const { uid } = pod.metadata;
    const known = workers.get(uid);
    if (known !== undefined) {
      known.update(pod);
      return;
    }
    const worker = new PodWorker(pod, services);
    workers.set(uid, worker);
    void worker.finished.then(() => workers.delete(uid));
  };
  startServer(config, (namespace, name) =>
    [...workers.values()].find(({ pod: { metadata } }) => metadata.namespace === namespace && metadata.name === name),
  );
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => {
      stopping.abort();
      for (const worker of workers.values()) worker.kill();
      // Whatever still runs then is ended by the kernel with this process.
      setTimeout(() => process.exit(0), shutdownMs);
      void Promise.all([...workers.values()].map(({ finished }) => finished)).then(() => process.exit(0));
    });
  }
  await api.listAndWatch<Pod>(
    '/api/v1/pods',
    { fieldSelector: `spec.nodeName=${config.nodeName}` },
    {
      onList: (pods) => {
        const present = new Set(pods.map(({ metadata }) => metadata.uid));
        for (const [uid, worker] of workers) if (!present.has(uid)) worker.kill();
        for (const pod of pods) take(pod);
      },
      onEvent: (type, pod) => {
        if (type === 'DELETED') workers.get(pod.metadata.uid)?.kill();
        else take(pod);
      },
    },
    stopping.signal,
  );
}
