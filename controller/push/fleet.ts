/**
 * The union: every data plane of the installation, whichever replica it is connected to. Each replica builds it from its own
 * sessions and from what its peers report, so any of them answers for the whole fleet.
 */
import { isDeepStrictEqual } from 'node:util';
import type { DataPlane, PeerReport } from '@tidegate/dataplane/snapshot/protocol';
import type { Clock } from '../clock.ts';
import type { Publisher } from './publish.ts';
import type { Session } from './session.ts';

/** A view that was not confirmed for this long counts no more. */
export const FLEET_EXPIRY_MS = 5_000;
/** A replica's second stream is believed only when the first has been silent for this long: their reports may overtake each other. */
const REBIND_MS = 2_000;

export interface FleetMember extends DataPlane {
  /** The controller replica it is connected to. */
  readonly replica: string;
  /** Of its last load report, or of the peer's report that named it, ms of the clock. */
  readonly lastSeenMs: number;
  readonly ready: boolean;
}

export interface ReplicaView {
  readonly replica: string;
  readonly leader: boolean;
  readonly revision: string;
  readonly objects: number;
  readonly compileMs: number;
}

/** What a replica says of itself. */
export interface OwnState {
  readonly leader: boolean;
  readonly objects: number;
  readonly compileMs: number;
}

/** What one replica knows of one data plane. */
interface Sighting {
  readonly plane: DataPlane;
  readonly replica: string;
  readonly lastSeenMs: number;
  /** When it appeared at that replica. */
  readonly joinedAtMs: number;
}

interface Peer {
  readonly report: PeerReport;
  readonly source: object;
  readonly atMs: number;
  /** When each data plane first appeared at that replica. */
  readonly joinedAtMs: ReadonlyMap<string, number>;
}

export interface FleetOptions {
  readonly replica: string;
  readonly publisher: Publisher;
  readonly clock: Clock;
  readonly own: () => OwnState;
}

export class Fleet {
  readonly replica: string;
  readonly #options: FleetOptions;
  readonly #peers = new Map<string, Peer>();
  /** Data planes that were ready when their stream ended: they serve on with what they have, and are on their way to some replica. */
  readonly #departed = new Map<string, Sighting>();
  readonly #listeners = new Set<() => void>();

  constructor(options: FleetOptions) {
    this.replica = options.replica;
    this.#options = options;
    options.publisher.onEvent((session, event) => {
      if (event.type === 'load') this.#departed.delete(session.node);
      if (event.type === 'disconnected' && session.ready) {
        this.#departed.set(session.node, this.#sighting(session));
      }
      if (event.type === 'sent' || (event.type === 'load' && !event.readyChanged)) return;
      this.#changed();
    });
  }

  /** Called when anything but figures of load changed: who is there, who is ready, who holds what. */
  onChange(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /** Takes a peer's whole view over. `source` is the stream it came by. False when it came from this replica itself. */
  report(report: PeerReport, source: object): boolean {
    if (report.replica === this.replica) return false;
    const atMs = this.#options.clock.now();
    const before = this.#peers.get(report.replica);
    if (before !== undefined && before.source !== source && atMs - before.atMs < REBIND_MS) return true;
    const joinedAtMs = new Map(
      report.dataPlanes.map(({ node }) => [node, before?.joinedAtMs.get(node) ?? atMs] as const),
    );
    this.#peers.set(report.replica, { report, source, atMs, joinedAtMs });
    if (before === undefined || !isDeepStrictEqual(withoutLoad(before.report), withoutLoad(report))) this.#changed();
    return true;
  }

  /** This replica's own report, for its peers. */
  ownReport(): PeerReport {
    const { publisher, own, replica } = this.#options;
    return {
      replica,
      revision: publisher.history.revision,
      dataPlanes: this.#here().map(({ plane }) => plane),
      ...own(),
    };
  }

  /** Every data plane once, by node. One that two replicas name is where it appeared last. */
  members(): FleetMember[] {
    const sightings = this.#here();
    for (const { report, atMs, joinedAtMs } of this.#livePeers()) {
      for (const plane of report.dataPlanes) {
        const joined = joinedAtMs.get(plane.node) ?? 0;
        sightings.push({ plane, replica: report.replica, lastSeenMs: atMs, joinedAtMs: joined });
      }
    }
    return onceEach(sightings)
      .map(({ plane, replica, lastSeenMs }) => ({ ...plane, replica, lastSeenMs, ready: isReady(plane) }))
      .sort((a, b) => (a.node < b.node ? -1 : 1));
  }

  /** This replica and its live peers, by name. */
  replicas(): ReplicaView[] {
    return [this.ownReport(), ...this.#livePeers().map(({ report }) => report)]
      .map(({ replica, leader, revision, objects, compileMs }) => ({ replica, leader, revision, objects, compileMs }))
      .sort((a, b) => (a.replica < b.replica ? -1 : 1));
  }

  #livePeers(): Peer[] {
    const oldest = this.#options.clock.now() - FLEET_EXPIRY_MS;
    for (const [replica, peer] of this.#peers) if (peer.atMs < oldest) this.#peers.delete(replica);
    return [...this.#peers.values()];
  }

  /** What is, or a moment ago was, connected to this replica. */
  #here(): Sighting[] {
    const oldest = this.#options.clock.now() - FLEET_EXPIRY_MS;
    for (const [node, { lastSeenMs }] of this.#departed) if (lastSeenMs < oldest) this.#departed.delete(node);
    const live = [...this.#options.publisher.sessions()].filter((session) => session.loadAtMs >= oldest);
    return onceEach([...this.#departed.values(), ...live.map((session) => this.#sighting(session))]);
  }

  #sighting(session: Session): Sighting {
    return {
      plane: dataPlaneOf(session),
      replica: this.replica,
      lastSeenMs: session.loadAtMs,
      joinedAtMs: session.connectedAtMs,
    };
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }
}

/**
 * The latest sighting of each data plane. A stream that has just been opened has brought no load report yet: what was reported
 * before holds until then, or every reconnection would look as if the data plane had not been ready for a second.
 */
function onceEach(sightings: readonly Sighting[]): Sighting[] {
  const found = new Map<string, Sighting>();
  for (const sighting of sightings) {
    const other = found.get(sighting.plane.node);
    if (other === undefined) {
      found.set(sighting.plane.node, sighting);
      continue;
    }
    const [older, newer] = other.joinedAtMs <= sighting.joinedAtMs ? [other, sighting] : [sighting, other];
    // What it says of endpoints comes before its first load report.
    const { load, health } = newer.plane.load === null ? older.plane : newer.plane;
    found.set(newer.plane.node, { ...newer, plane: { ...newer.plane, load, health } });
  }
  return [...found.values()];
}

function dataPlaneOf(session: Session): DataPlane {
  return {
    node: session.node,
    zone: session.zone,
    revision: session.revision,
    rejected: [...session.rejected],
    load: session.load,
    programVersion: session.programVersion,
    message: session.message,
    health: [...session.health],
  };
}

function isReady(plane: DataPlane): boolean {
  return plane.load?.ready === true && !plane.load.draining;
}

function withoutLoad(report: PeerReport): unknown {
  return {
    leader: report.leader,
    revision: report.revision,
    dataPlanes: report.dataPlanes.map((plane) => ({ ...plane, load: null, ready: isReady(plane) })),
  };
}
