/**
 * What every object's status should be now, on this replica. Told of compiled steps and of the fleet, it names the objects
 * whose status may differ from before: a change costs what it touches.
 */
import type { ObjectRef } from '../api/problem.ts';
import { firstReason } from '../model/conditions.ts';
import type { ObjectOutcome } from '../model/outcome.ts';
import { keyOf, type ObjectKey } from '../store/objects.ts';
import { ALL_HEALTHY, changedHealth, countEndpoints, type EndpointCount, type FleetHealth } from './endpoint-health.ts';
import type { FleetSummary, StatusCondition } from './programmed.ts';
import { programmed } from './programmed.ts';

export interface DesiredStatus {
  readonly ref: ObjectRef;
  readonly uid: string | undefined;
  readonly generation: number;
  readonly conditions: readonly StatusCondition[];
  /** Fields of `status` beside the conditions, for printer columns. */
  readonly fields: Readonly<Record<string, string>>;
  /** Programmed is not True yet and that may pass. */
  readonly passing: boolean;
  /** The most detailed of its problems, for an Event; empty when there is none. */
  readonly detail: string;
}

interface Entry {
  readonly outcome: ObjectOutcome;
  readonly since: number;
}

/** The part of a CompileResult that status needs. */
export interface OutcomeStep {
  readonly outcomes: ReadonlyMap<ObjectKey, ObjectOutcome>;
  readonly forgotten: readonly ObjectRef[];
}

const NOTHING: FleetSummary = { ready: 0, sequence: -1, rejected: new Map(), refusal: '' };

export class StatusBoard {
  readonly #entries = new Map<ObjectKey, Entry>();
  readonly #hashOf: (id: string) => string | undefined;
  readonly #listeners = new Set<(keys: Iterable<ObjectKey>) => void>();
  #fleet: FleetSummary = NOTHING;
  #health: FleetHealth = ALL_HEALTHY;
  /** Objects whose generation is newer than what every data plane holds. */
  #behind = new Set<ObjectKey>();

  constructor(hashOf: (id: string) => string | undefined) {
    this.#hashOf = hashOf;
  }

  onChange(listener: (keys: Iterable<ObjectKey>) => void): void {
    this.#listeners.add(listener);
  }

  /** `sequence`: the step on which these outcomes are in the snapshot. */
  compiled(step: OutcomeStep, sequence: number): void {
    const changed: ObjectKey[] = [];
    for (const [key, outcome] of step.outcomes) {
      const before = this.#entries.get(key);
      const same = before?.outcome.uid === outcome.uid && before?.outcome.generation === outcome.generation;
      const since = same && before !== undefined ? before.since : sequence;
      this.#entries.set(key, { outcome, since });
      if (since > this.#fleet.sequence) this.#behind.add(key);
      changed.push(key);
    }
    for (const ref of step.forgotten) {
      const key = keyOf(ref);
      this.#entries.delete(key);
      this.#behind.delete(key);
      changed.push(key);
    }
    if (changed.length > 0) this.#tell(changed);
  }

  fleetChanged(fleet: FleetSummary): void {
    const before = this.#fleet;
    this.#fleet = fleet;
    const everything =
      (before.ready === 0) !== (fleet.ready === 0) ||
      fleet.sequence < before.sequence ||
      before.refusal !== fleet.refusal ||
      !sameRejections(before, fleet);
    if (everything) {
      this.#behind = new Set(this.#entriesSince(fleet.sequence));
      this.#tell([...this.#entries.keys()]);
      return;
    }
    const caughtUp = [...this.#behind].filter((key) => (this.#entries.get(key)?.since ?? 0) <= fleet.sequence);
    for (const key of caughtUp) this.#behind.delete(key);
    if (caughtUp.length > 0) this.#tell(caughtUp);
  }

  /** What the ready data planes say of endpoints. */
  healthChanged(health: FleetHealth): void {
    const changed = changedHealth(this.#health, health);
    this.#health = health;
    const keys = changed.map(backendKey).filter((key) => this.#entries.has(key));
    if (keys.length > 0) this.#tell(keys);
  }

  /** Of a Backend; null where nobody knows, or it does not serve. */
  endpoints(key: ObjectKey): EndpointCount | null {
    const outcome = this.#entries.get(key)?.outcome;
    if (outcome?.ref.kind !== 'Backend') return null;
    const { namespace, name } = outcome.ref;
    return countEndpoints(outcome, this.#health.get(`backend/${namespace}/${name}`));
  }

  /** Backends with endpoints that some ready data plane sends no requests to, by id. */
  *degraded(): Iterable<{ readonly ref: ObjectRef; readonly count: EndpointCount }> {
    for (const id of [...this.#health.keys()].sort()) {
      const key = backendKey(id);
      const outcome = this.#entries.get(key)?.outcome;
      const count = this.endpoints(key);
      if (outcome !== undefined && count !== null && count.blocked.length > 0) yield { ref: outcome.ref, count };
    }
  }

  /** Undefined: the object is gone, or not of this installation. */
  desired(key: ObjectKey): DesiredStatus | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    const { outcome, since } = entry;
    const verdict = programmed(outcome, since, this.#fleet, this.#hashOf);
    const conditions: StatusCondition[] = [...outcome.conditions, verdict.condition];
    const fields: Record<string, string> = { ...outcome.summary };
    // A Backend's columns have no room for a reason; its status has no such field.
    if (outcome.ref.kind !== 'Backend') fields.reason = firstReason(conditions);
    const count = this.endpoints(key);
    if (count !== null) fields.endpoints = `${count.healthy}/${count.all}`;
    const problem = outcome.problems[0];
    return {
      ref: outcome.ref,
      uid: outcome.uid,
      generation: outcome.generation,
      conditions,
      fields,
      passing: verdict.passing,
      detail: problem === undefined ? '' : [problem.path, problem.message].filter((part) => part !== '').join(': '),
    };
  }

  outcome(key: ObjectKey): ObjectOutcome | undefined {
    return this.#entries.get(key)?.outcome;
  }

  keys(): IterableIterator<ObjectKey> {
    return this.#entries.keys();
  }

  get size(): number {
    return this.#entries.size;
  }

  *#entriesSince(sequence: number): Iterable<ObjectKey> {
    for (const [key, { since }] of this.#entries) if (since > sequence) yield key;
  }

  #tell(keys: readonly ObjectKey[]): void {
    for (const listener of this.#listeners) listener(keys);
  }
}

/** Of the object a resource was compiled from. */
function backendKey(id: string): ObjectKey {
  const [, namespace = '', name = ''] = id.split('/');
  return keyOf({ kind: 'Backend', namespace, name });
}

function sameRejections(a: FleetSummary, b: FleetSummary): boolean {
  if (a.rejected.size !== b.rejected.size) return false;
  for (const [id, hashes] of a.rejected) {
    const others = b.rejected.get(id);
    if (others === undefined || others.size !== hashes.size) return false;
    for (const [hash, message] of hashes) if (others.get(hash) !== message) return false;
  }
  return true;
}
