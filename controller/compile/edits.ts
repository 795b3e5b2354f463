/** Header edits, time-outs and shares, from how a user writes them to how a data plane runs them. */
import type { HeaderEdits, Timeouts } from '@tidegate/dataplane/snapshot/primitives';
import { durationMs } from '../api/duration.ts';
import type { HeaderEditsSpec, TimeoutsSpec } from '../api/v1alpha1/common.ts';

export function compileHeaderEdits(edits: HeaderEditsSpec): HeaderEdits {
  const lower = ({ name, value }: { name: string; value: string }) => ({ name: name.toLowerCase(), value });
  return {
    remove: (edits.remove ?? []).map((name) => name.toLowerCase()),
    set: (edits.set ?? []).map(lower),
    add: (edits.add ?? []).map(lower),
  };
}

/** Of a percentage with up to four decimals. */
export function perMillion(percent: number): number {
  return Math.round(percent * 10_000);
}

export function compileTimeouts(timeouts: TimeoutsSpec | undefined): Timeouts {
  return {
    ...(timeouts?.request === undefined ? {} : { requestMs: durationMs(timeouts.request) }),
    ...(timeouts?.backend === undefined ? {} : { backendMs: durationMs(timeouts.backend) }),
    ...(timeouts?.idle === undefined ? {} : { idleMs: durationMs(timeouts.idle) }),
    ...(timeouts?.streamIdle === undefined ? {} : { streamIdleMs: durationMs(timeouts.streamIdle) }),
  };
}
