/** What only a controller in (or beside) a cluster does: the API server as source, leading, writing status, finding its peers. */
import { apiCredentials } from './api-credentials.ts';
import { ApiServer } from './api-server.ts';
import type { Clock } from './clock.ts';
import type { Config } from './config.ts';
import { LeaderElection } from './leader.ts';
import type { Log } from './log.ts';
import type { Metrics } from './metrics.ts';
import type { StatusBoard } from './status/board.ts';
import { EventRecorder } from './status/events.ts';
import { StatusWriter } from './status/writer.ts';
import type { Store } from './store/store.ts';
import { KubernetesSource } from './watch/kubernetes-source.ts';
import { PeerDiscovery } from './watch/peers.ts';
import type { Source } from './watch/source.ts';

export interface ClusterOptions {
  readonly config: Config;
  readonly kubeconfig: string;
  readonly env: NodeJS.ProcessEnv;
  readonly clock: Clock;
  readonly log: Log;
  readonly store: Store;
  readonly board: StatusBoard;
  readonly metrics: Metrics;
  readonly onPeers: (addresses: readonly string[]) => void;
  readonly onLeader: () => void;
}

export interface ClusterParts {
  readonly api: ApiServer;
  readonly source: Source;
  readonly writer: StatusWriter;
  readonly leader: () => boolean;
  /** Once the first compilation went through: from now on there is something to write. */
  begin(): void;
  stop(): Promise<void>;
}

export async function clusterParts(options: ClusterOptions): Promise<ClusterParts> {
  const { config, clock, log, store, board, metrics } = options;
  const api = new ApiServer(await apiCredentials(options.kubeconfig, options.env));
  const source = new KubernetesSource({
    api,
    namespaces: config.namespaces,
    secrets: config.secrets,
    clock,
    log,
    onRestart: (kind, reason) => metrics.watchRestarted(kind, reason),
  });
  const writer = new StatusWriter({
    board,
    api,
    events: new EventRecorder({ api, replica: config.replica, clock, log }),
    held: (ref) => {
      if (ref.kind !== 'Route' && ref.kind !== 'Backend' && ref.kind !== 'Policy') return undefined;
      const object = store.get(ref.kind, ref.namespace, ref.name);
      if (object === undefined) return undefined;
      const { uid, generation, resourceVersion } = object.metadata;
      return { uid, generation, resourceVersion, status: object.status };
    },
    clock,
    log,
    onWrite: (result) => metrics.statusWritten(result),
  });
  const lead = (leader: boolean): void => {
    writer.lead(leader);
    options.onLeader();
  };
  const election =
    config.lease === null
      ? null
      : new LeaderElection({
          api,
          namespace: config.namespace,
          identity: config.replica,
          ...config.lease,
          clock,
          log,
          onChange: lead,
        });
  const discovery =
    config.peerService === ''
      ? null
      : new PeerDiscovery({
          api,
          namespace: config.namespace,
          service: config.peerService,
          clock,
          log,
          onAddresses: options.onPeers,
        });
  discovery?.start();
  let began = false;
  return {
    api,
    source,
    writer,
    leader: () => (election === null ? began : election.leader),
    begin() {
      if (began) return;
      began = true;
      if (election === null) lead(true);
      else election.start();
    },
    async stop() {
      await discovery?.stop();
      writer.lead(false);
      await election?.stop();
      await api.close();
    },
  };
}
