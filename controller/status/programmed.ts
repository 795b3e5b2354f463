/** The verdicts of the fleet as the Programmed condition of each object. Pure. */
import type { ObjectOutcome } from '../model/outcome.ts';
import type { FleetMember } from '../push/fleet.ts';
import type { History } from '../push/history.ts';

export interface StatusCondition {
  readonly type: string;
  readonly status: 'True' | 'False' | 'Unknown';
  readonly reason: string;
  readonly message: string;
}

/** What counts of the fleet: ready data planes only. */
export interface FleetSummary {
  /** Ready data planes. */
  readonly ready: number;
  /** Every ready data plane holds this step or a later one; -1 when one holds a revision that this replica does not know. */
  readonly sequence: number;
  /** By resource id, then hash: the message of the first data plane, by name, that rejected it. */
  readonly rejected: ReadonlyMap<string, ReadonlyMap<string, string>>;
  /** Why a data plane refused a whole snapshot; empty when none did. */
  readonly refusal: string;
}

/**
 * `members` by name, as Fleet has them: the summary is the same on every replica. `complete`: false while data planes may be
 * ready that no replica has told of yet, so that nothing can be said of all of them.
 */
export function summarise(members: readonly FleetMember[], history: History, complete = true): FleetSummary {
  let ready = 0;
  let sequence = Number.POSITIVE_INFINITY;
  let refusal = '';
  const rejected = new Map<string, Map<string, string>>();
  for (const member of members) {
    if (!member.ready) continue;
    ready += 1;
    sequence = Math.min(sequence, history.sequenceOf(member.revision) ?? -1);
    if (refusal === '') refusal = member.message;
    for (const { id, hash, message } of member.rejected) {
      let hashes = rejected.get(id);
      if (hashes === undefined) {
        hashes = new Map();
        rejected.set(id, hashes);
      }
      if (!hashes.has(hash)) hashes.set(hash, message);
    }
  }
  return { ready, sequence: ready === 0 || !complete ? -1 : sequence, rejected, refusal };
}

export interface Programmed {
  readonly condition: StatusCondition;
  /** It says no more than that something is not there yet: worth writing only when it lasts. */
  readonly passing: boolean;
}

/** `since`: the step that first held this generation. */
export function programmed(
  outcome: ObjectOutcome,
  since: number,
  fleet: FleetSummary,
  hashOf: (id: string) => string | undefined,
): Programmed {
  const refused = outcome.conditions.find((condition) => condition.type === 'Accepted' && condition.status === 'False');
  if (refused !== undefined) return lasting(refused.reason, 'not accepted, so nothing of it serves');
  if (outcome.closed !== undefined) {
    return lasting(
      'FailedClosed',
      `${outcome.closed.join(', ')}: could not be built, so its requests are answered 503; ResolvedRefs and PartiallyInvalid say why`,
    );
  }
  if (fleet.rejected.size > 0) {
    for (const id of outcome.resources) {
      const hash = hashOf(id);
      const message = hash === undefined ? undefined : fleet.rejected.get(id)?.get(hash);
      if (message !== undefined) return lasting('Rejected', `${id}: ${message}`);
    }
  }
  if (fleet.ready === 0) return passing('NoDataPlane', 'no data plane is ready');
  if (fleet.sequence < since) {
    if (fleet.refusal !== '') return lasting('Rejected', `a data plane refused the snapshot: ${fleet.refusal}`);
    return passing('Pending', 'not every ready data plane has it yet');
  }
  return { condition: { type: 'Programmed', status: 'True', reason: 'Programmed', message: '' }, passing: false };
}

function lasting(reason: string, message: string): Programmed {
  return { condition: { type: 'Programmed', status: 'False', reason, message }, passing: false };
}

function passing(reason: string, message: string): Programmed {
  return { ...lasting(reason, message), passing: true };
}
