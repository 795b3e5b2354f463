/** What all peers are set to alike, so that none is ahead by its configuration. */

export const ENDPOINTS = 8;
/** Probes of active health checks; two that fail one after the other take an endpoint out, one that succeeds brings it back. */
export const PROBE = { path: '/healthz', intervalMs: 250, timeoutMs: 200, unhealthy: 2, healthy: 1 };
/** Requests that fail one after the other, as outlier detection counts them. */
export const CONSECUTIVE = 5;
/** How long an endpoint stays out at first. */
export const EJECTION_MS = 1_000;
/** Repeats after the first try, elsewhere. */
export const RETRIES = 2;
