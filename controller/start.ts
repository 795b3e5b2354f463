/** Builds the controller's parts, starts them in the order of the line, and stops them in reverse. */
import type { AdminServer } from './admin/server.ts';
import { AdminServer as Admin } from './admin/server.ts';
import { stepsBehind } from './admin/status.ts';
import { KIND_NAMES } from './api/kinds.ts';
import type { ObjectKind } from './api/problem.ts';
import { type Clock, systemClock } from './clock.ts';
import type { ClusterParts } from './cluster.ts';
import { Compiler } from './compile/compiler.ts';
import type { Config } from './config.ts';
import { describeError } from './errors.ts';
import { Line } from './line.ts';
import type { Log } from './log.ts';
import { Metrics } from './metrics.ts';
import { WatchedCertificates } from './push/certificates.ts';
import { Fleet } from './push/fleet.ts';
import { Peers } from './push/peer.ts';
import { Publisher, type PublisherEvent } from './push/publish.ts';
import { PushServer } from './push/server.ts';
import { DEFAULT_SESSION_TIMES, type Session } from './push/session.ts';
import { Shares } from './push/shares.ts';
import { StatusBoard } from './status/board.ts';
import { mergeHealth } from './status/endpoint-health.ts';
import { summarise } from './status/programmed.ts';
import { Store } from './store/store.ts';
import { Loop } from './watch/loop.ts';
import type { Source } from './watch/source.ts';

export interface StartOptions {
  readonly config: Config;
  readonly log: Log;
  readonly env: NodeJS.ProcessEnv;
  readonly clock?: Clock;
}

export interface RunningController {
  /** Bound ports; 0 where a socket is used or nothing is served. */
  readonly ports: { readonly push: number; readonly admin: number; readonly metricsApi: number };
  readonly publisher: Publisher;
  readonly fleet: Fleet;
  readonly board: StatusBoard;
  stop(): Promise<void>;
}

const WATCHED: readonly ObjectKind[] = [...KIND_NAMES, 'Service', 'EndpointSlice', 'Secret'];
/** Data planes that fall silent are noticed this fast. */
const FLEET_CHECK_MS = 1_000;
/** A data plane that connects says in several messages what it holds and what of it it rejects: one view, not three. */
const FLEET_GATHER_MS = 20;
/** A controller that has just started does not know yet which data planes there are: they look for a replica for up to 5 s. */
const WARM_UP_MS = 5_000;

/** Throws ControllerError; what was started by then is stopped again. */
export async function startController({
  config,
  log,
  env,
  clock = systemClock,
}: StartOptions): Promise<RunningController> {
  const stops: (() => unknown)[] = [];
  const stop = async (): Promise<void> => {
    for (const undo of stops.splice(0).reverse()) {
      try {
        await undo();
      } catch (error) {
        log.error({ error: describeError(error) }, 'a part could not be stopped');
      }
    }
  };
  try {
    return await assemble(config, log, env, clock, stops, stop);
  } catch (error) {
    await stop();
    throw error;
  }
}

async function assemble(
  config: Config,
  log: Log,
  env: NodeJS.ProcessEnv,
  clock: Clock,
  stops: (() => unknown)[],
  stop: () => Promise<void>,
): Promise<RunningController> {
  const inCluster = config.source.kind === 'kubernetes';
  const store = new Store();
  const compiler = new Compiler({
    store,
    gateway: config.gateway,
    gatewayNamespace: inCluster ? config.namespace : undefined,
    secretsWatched: !inCluster || config.secrets.enabled,
  });
  // With files nothing is ever newer elsewhere: a folder that changed while nobody ran is served at once.
  const times = inCluster ? DEFAULT_SESSION_TIMES : { ...DEFAULT_SESSION_TIMES, unknownRevisionMs: 0 };
  const publisher = new Publisher({ clock, times });
  const { history } = publisher;
  const board = new StatusBoard((id) => history.resources.get(id)?.hash);
  let cluster: ClusterParts | null = null;
  const isLeader = (): boolean => cluster === null || cluster.leader();
  const fleet = new Fleet({
    replica: config.replica,
    publisher,
    clock,
    own: () => ({ leader: isLeader(), objects: board.size, compileMs: line.compileMs }),
  });
  const metrics = new Metrics({
    objects: () => WATCHED.map((kind) => [kind, store.count(kind)] as const),
    resources: () => history.size,
    revision: () => history.revision,
    sessions: () => publisher.sessionCount,
    peers: () => fleet.replicas().length - 1,
    leader: isLeader,
    dataPlanes: () => countStates(fleet, publisher),
    statusPending: () => cluster?.writer.pending ?? 0,
  });
  const line = new Line({
    store,
    compiler,
    publisher,
    board,
    log,
    onCompiled: (ms) => metrics.compiled(ms),
    onSeen: (keys) => cluster?.writer.enqueue(keys),
  });
  const loop = new Loop({
    run: async (batch) => {
      await line.run(batch);
      cluster?.begin();
    },
    refused(refusal) {
      metrics.fileRefused();
      line.refused(refusal);
    },
    failed: (error) =>
      log.error({ error: error instanceof Error ? error.stack : String(error) }, 'a batch failed: this is a bug'),
  });
  publisher.onEvent((session, event) => {
    metrics.session(event);
    tellDataPlane(log, session, event);
  });
  const shares = new Shares({ fleet, publisher, clock });
  stops.push(() => shares.stop());
  stops.push(followFleet(fleet, publisher, board, clock, inCluster ? WARM_UP_MS : 0));

  const certificates = config.tls === null ? null : await WatchedCertificates.open(config.tls, log);
  stops.push(() => certificates?.close());
  const peers = new Peers({ fleet, certificates, serverName: config.serverName, clock, log });
  if (config.peers.length > 0) peers.dial(config.peers);
  stops.push(() => peers.stop());

  if (config.source.kind === 'kubernetes') {
    const { clusterParts } = await import('./cluster.ts');
    cluster = await clusterParts({
      config,
      kubeconfig: config.source.kubeconfig,
      env,
      clock,
      log,
      store,
      board,
      metrics,
      onPeers: (addresses) => peers.dial(addresses),
      onLeader: () => peers.announce(),
    });
    stops.push(cluster.stop);
  }
  const push = new PushServer({
    listen: config.listen,
    certificates,
    insecure: config.insecure,
    dataPlaneNames: config.dataPlaneNames,
    peerNames: config.peerNames,
    gateway: config.gateway,
    maxStreamAgeMs: config.maxStreamAgeMs,
    clock,
    log,
    publisher,
    synced: () => loop.ready,
    onPeer: (stream) => peers.accept(stream),
  });
  const admin: AdminServer = new Admin({
    ...config.admin,
    fleet,
    history,
    board,
    effective: (namespace, route) => compiler.effective(namespace, route),
    waitingFor: () => (loop.ready ? undefined : 'the first complete list of the sources'),
    metrics: () => metrics.expose(),
  });
  const adminPort = await admin.listen();
  stops.push(() => admin.stop());
  await push.listen();
  stops.push(() => push.stop());
  const metricsApiPort = await startMetricsApi(config, cluster, fleet, clock, log, stops);
  const source = cluster?.source ?? (await fileSource(config));
  await source.start(loop);
  stops.push(async () => {
    await source.stop();
    await loop.idle();
  });
  if (!inCluster) await loop.idle();
  log.info(
    { event: 'listening', push: config.listen, admin: `${config.admin.host}:${adminPort}` },
    'controller started',
  );
  return { ports: { push: push.port, admin: adminPort, metricsApi: metricsApiPort }, publisher, fleet, board, stop };
}

/** The port, 0 where it is not served. */
async function startMetricsApi(
  { metricsApi, namespace }: Config,
  cluster: ClusterParts | null,
  fleet: Fleet,
  clock: Clock,
  log: Log,
  stops: (() => unknown)[],
): Promise<number> {
  if (metricsApi === null || cluster === null) return 0;
  const { MetricsApi } = await import('./metrics-api/server.ts');
  const { host, port, certificateFile, keyFile } = metricsApi;
  const certificate = await WatchedCertificates.open({ certificateFile, keyFile, authorityFile: null }, log);
  stops.push(() => certificate.close());
  const { api } = cluster;
  const server = new MetricsApi({
    host,
    port,
    certificate,
    api,
    namespace,
    members: () => fleet.members(),
    clock,
    log,
  });
  const bound = await server.listen();
  stops.push(() => server.stop());
  return bound;
}

async function fileSource(config: Config): Promise<Source> {
  if (config.source.kind !== 'files') throw new TypeError('no folder');
  const { FileSource } = await import('./watch/file-source.ts');
  return new FileSource({ folder: config.source.dir });
}

/** Keeps the board told of the fleet: on every change, and of what only time changes. */
function followFleet(
  fleet: Fleet,
  publisher: Publisher,
  board: StatusBoard,
  clock: Clock,
  warmUpMs: number,
): () => void {
  let due = false;
  const completeAtMs = clock.now() + warmUpMs;
  const look = (): void => {
    const members = fleet.members();
    board.fleetChanged(summarise(members, publisher.history, clock.now() >= completeAtMs));
    board.healthChanged(mergeHealth(members));
  };
  fleet.onChange(() => {
    if (due) return;
    due = true;
    clock.after(FLEET_GATHER_MS, () => {
      due = false;
      look();
    });
  });
  let cancel = (): void => {};
  const tick = (): void => {
    cancel = clock.after(FLEET_CHECK_MS, () => {
      look();
      tick();
    });
  };
  tick();
  return () => cancel();
}

function tellDataPlane(log: Log, session: Session, event: PublisherEvent): void {
  const { node } = session;
  switch (event.type) {
    case 'connected':
    case 'disconnected':
    case 'replaced':
      log.info({ event: 'dataplane', node, state: event.type });
      break;
    case 'load':
      if (event.readyChanged) {
        log.info({
          event: 'dataplane',
          node,
          state: session.load?.draining ? 'draining' : session.ready ? 'ready' : 'not-ready',
        });
      }
      break;
    case 'refused':
      log.warn({ event: 'dataplane', node, state: 'refused', revision: event.revision, reason: event.message });
      break;
    case 'acknowledged':
      if (event.rejected.length > 0) {
        log.warn({
          event: 'dataplane',
          node,
          state: 'rejected',
          revision: session.revision,
          rejected: event.rejected.slice(0, 10),
        });
      }
      break;
    case 'sent':
    case 'health':
      break;
  }
}

function* countStates(fleet: Fleet, publisher: Publisher) {
  const members = fleet.members();
  yield ['ready', members.filter((member) => member.ready).length] as const;
  yield ['not-ready', members.filter((member) => !member.ready).length] as const;
  yield ['behind', members.filter((member) => stepsBehind(member, publisher.history) > 0).length] as const;
  yield ['rejecting', members.filter((member) => member.rejected.length > 0).length] as const;
}
