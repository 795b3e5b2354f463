/** The DNS observer as the program runs it. */
import type { Log } from '../../log.ts';
import type { ObservedBackends } from '../observed-backends.ts';
import { DnsObserver } from './dns-observer.ts';
import { createNameResolver } from './resolver.ts';

/** Of one attempt at one server; and of a look-up with all its attempts, search domains included. */
const TIMEOUT_MS = 2_000;
const DEADLINE_MS = 8_000;

/** It is added to `observed`. `servers`: null for those of the system. */
export function observeNames(
  observed: ObservedBackends,
  servers: readonly string[] | null,
  log: Log,
  onTroubles: () => void,
): DnsObserver {
  const observer = new DnsObserver({
    resolver: createNameResolver({ servers, timeoutMs: TIMEOUT_MS, deadlineMs: DEADLINE_MS }),
    setEndpoints: (id, endpoints) => observed.setEndpoints(id, endpoints),
    onTroubles,
    log,
    time: {
      now: () => performance.now(),
      random: Math.random,
      setTimer: (run, delayMs) => {
        const timer = setTimeout(run, delayMs).unref();
        return () => clearTimeout(timer);
      },
    },
  });
  observed.add(observer);
  return observer;
}
