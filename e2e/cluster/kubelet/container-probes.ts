import { type ProbeTarget, repeatProbe } from './probe.ts';
import type { Container, Probe } from './types.ts';

/** What becomes of the probes' results. */
export interface ProbeOutcome {
  /** The startup probe succeeded, or there is none. Comes once. */
  started: () => void;
  ready: (ready: boolean) => void;
  /** A startup or liveness probe failed for good: the container is to be restarted. */
  restart: (kind: 'startup' | 'liveness', probe: Probe) => void;
  /** A single probe failed. */
  failed: (kind: 'Startup' | 'Liveness' | 'Readiness', message: string) => void;
}

/**
 * Runs a container's probes while it runs (`running`). Liveness and readiness begin when it has started. Liveness ends
 * with `stopping`: a container on its way out is not restarted; readiness goes on, so that a drain is seen.
 */
export function probeContainer(
  container: Container,
  target: ProbeTarget,
  outcome: ProbeOutcome,
  running: AbortSignal,
  stopping: AbortSignal,
): void {
  const { startupProbe, livenessProbe, readinessProbe } = container;
  const failed = (kind: 'Startup' | 'Liveness' | 'Readiness') => (message: string) => outcome.failed(kind, message);
  const whenStarted = () => {
    outcome.started();
    if (readinessProbe !== undefined) {
      void repeatProbe(readinessProbe, target, outcome.ready, failed('Readiness'), running);
    }
    if (livenessProbe !== undefined) {
      const report = (success: boolean) => {
        if (!success) outcome.restart('liveness', livenessProbe);
      };
      void repeatProbe(livenessProbe, target, report, failed('Liveness'), AbortSignal.any([running, stopping]));
    }
  };
  if (startupProbe === undefined) {
    whenStarted();
    return;
  }
  const decided = new AbortController();
  const report = (success: boolean) => {
    decided.abort();
    if (success) whenStarted();
    else outcome.restart('startup', startupProbe);
  };
  const until = AbortSignal.any([running, stopping, decided.signal]);
  void repeatProbe(startupProbe, target, report, failed('Startup'), until);
}
