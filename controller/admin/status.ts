/** `GET /api/v1/status`: who holds what. What `tidegate status` shows. */
import type { LoadReport, Rejected } from '@tidegate/dataplane/snapshot/protocol';
import type { Fleet, FleetMember } from '../push/fleet.ts';
import type { History } from '../push/history.ts';
import type { StatusBoard } from '../status/board.ts';

export interface Status {
  readonly controllers: readonly ControllerStatus[];
  readonly dataPlanes: readonly DataPlaneStatus[];
  /** Those with endpoints that some ready data plane sends no requests to, by namespace and name; at most 100. */
  readonly backends: readonly DegradedBackend[];
}

export interface DegradedBackend {
  readonly namespace: string;
  readonly name: string;
  readonly healthy: number;
  readonly all: number;
  /** `address:port`, at most 16. */
  readonly blocked: readonly string[];
}

export interface ControllerStatus {
  readonly replica: string;
  readonly leader: boolean;
  readonly revision: string;
  /** Routes, Backends and Policies of this installation. */
  readonly objects: number;
  /** Of the last compilation. */
  readonly compileMs: number;
}

export interface DataPlaneStatus {
  readonly node: string;
  readonly zone: string;
  /** The controller replica it is connected to. */
  readonly controller: string;
  /** Acknowledged last; empty when it holds nothing. */
  readonly revision: string;
  /** Steps it has to go to the revision of the replica that answers; at least 1 when its revision is not known here. */
  readonly behind: number;
  readonly ready: boolean;
  readonly draining: boolean;
  readonly rejected: readonly Rejected[];
  /** Why it refused a whole snapshot, empty when it did not. */
  readonly message: string;
  readonly load: LoadReport | null;
  readonly programVersion: string;
}

const MAX_BACKENDS = 100;
const MAX_BLOCKED = 16;

export function statusOf(fleet: Fleet, history: History, board: StatusBoard): Status {
  return {
    controllers: fleet.replicas(),
    dataPlanes: fleet.members().map((member) => ({
      node: member.node,
      zone: member.zone,
      controller: member.replica,
      revision: member.revision,
      behind: stepsBehind(member, history),
      ready: member.ready,
      draining: member.load?.draining === true,
      rejected: member.rejected,
      message: member.message,
      load: member.load,
      programVersion: member.programVersion,
    })),
    backends: [...board.degraded()].slice(0, MAX_BACKENDS).map(({ ref, count: { healthy, all, blocked } }) => ({
      namespace: ref.namespace,
      name: ref.name,
      healthy,
      all,
      blocked: blocked.slice(0, MAX_BLOCKED),
    })),
  };
}

export function stepsBehind({ revision }: FleetMember, history: History): number {
  if (revision === '' || revision === history.revision) return 0;
  const sequence = history.sequenceOf(revision);
  return sequence === undefined ? 1 : history.sequence - sequence;
}
