/** What became of one object: its problems, its conditions, and the resources it stands in. Status is written from it. */
import type { ObjectRef, Problem } from '../api/problem.ts';

export interface DesiredCondition {
  readonly type: 'Accepted' | 'ResolvedRefs' | 'PartiallyInvalid';
  readonly status: 'True' | 'False';
  readonly reason: string;
  readonly message: string;
}

/** Plain strings for `kubectl get`: printer columns can't join arrays. */
export interface RouteSummary {
  readonly hosts: string;
  readonly backends: string;
}
export interface BackendSummary {
  readonly target: string;
  readonly protocol: string;
  /** Ready of all, `5/6`; empty when it isn't known (a DNS name). Status shows the healthy ones of all (status/endpoint-health.ts). */
  readonly endpoints: string;
}
export interface PolicySummary {
  readonly targets: string;
  readonly sections: string;
}

export type Summary = RouteSummary | BackendSummary | PolicySummary;

export interface ObjectOutcome {
  readonly ref: ObjectRef;
  readonly uid: string | undefined;
  /** The generation this was compiled from: `observedGeneration`. */
  readonly generation: number;
  readonly problems: readonly Problem[];
  /** All but Programmed, which needs the verdicts. Without time stamps: equal when nothing changed. */
  readonly conditions: readonly DesiredCondition[];
  /** Fields of `status` beside the conditions. */
  readonly summary: Summary;
  /** Ids of the resources compiled from this object, sorted; Programmed asks whether data planes hold them. */
  readonly resources: readonly string[];
  /** Of a Backend that serves: its endpoints in the snapshot, and all there are; null where only the data planes know (names). */
  readonly serving?: {
    readonly endpoints: readonly { readonly address: string; readonly port: number }[];
    readonly all: number | null;
  };
  /** Sections of a Policy that could not be built and therefore refuse their requests. Absent: none. */
  readonly closed?: readonly string[];
}
