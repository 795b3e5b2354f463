/** nginx, HAProxy and Envoy with what they have of the same, each as its documentation advises. */
import { type EnvoyFeatures, startEnvoy } from '../peers/envoy.ts';
import { type HaproxyFeatures, startHaproxy } from '../peers/haproxy.ts';
import { type NginxFeatures, startNginx } from '../peers/nginx.ts';
import type { Peer } from '../peers/peer.ts';
import { CONSECUTIVE, EJECTION_MS, PROBE, RETRIES } from './settings.ts';

export interface Parts {
  /** The less busy one; else in turn. */
  readonly leastRequest?: true;
  /** Health checks and outlier detection. nginx has only the latter. */
  readonly guarded?: true;
  readonly retry?: 'on' | 'off';
}

const seconds = (ms: number) => `${ms / 1000}s`;
const NO_PARAMETERS = 'max_fails=0';

/** `max_fails` counts within `fail_timeout`, which is how long it stays out too. It has no active checks. */
export function nginxPeer(name: string, about: string, { leastRequest, guarded, retry }: Parts): Peer {
  const next =
    retry === 'on'
      ? [
          'proxy_next_upstream error timeout http_502 http_503 http_504;',
          `proxy_next_upstream_tries ${RETRIES + 1};`,
          'proxy_read_timeout 1s;',
        ]
      : ['proxy_next_upstream off;'];
  const features: NginxFeatures = {
    upstream: leastRequest ? ['least_conn;'] : [],
    server: guarded ? `max_fails=${CONSECUTIVE} fail_timeout=${seconds(EJECTION_MS)}` : NO_PARAMETERS,
    location: retry === undefined ? [] : next,
  };
  return { name, about, needs: ['nginx'], start: (context) => startNginx(context, features) };
}

export function haproxyPeer(name: string, about: string, { leastRequest, guarded, retry }: Parts): Peer {
  const check = [
    `check inter ${PROBE.intervalMs}ms fall ${PROBE.unhealthy} rise ${PROBE.healthy}`,
    `observe layer7 error-limit ${CONSECUTIVE} on-error mark-down`,
  ];
  const repeats = [
    `retries ${RETRIES}`,
    'option redispatch 1',
    'retry-on conn-failure empty-response response-timeout junk-response 502 503 504',
  ];
  const features: HaproxyFeatures = {
    backend: [
      `balance ${leastRequest ? 'leastconn' : 'roundrobin'}`,
      ...(guarded ? [`option httpchk GET ${PROBE.path}`, `timeout check ${PROBE.timeoutMs}ms`] : []),
      ...(retry === 'on' ? repeats : retry === 'off' ? ['retries 0', 'no option redispatch'] : []),
    ],
    server: guarded ? check.join(' ') : '',
  };
  return { name, about, needs: ['haproxy'], start: (context) => startHaproxy(context, features) };
}

export function envoyPeer(name: string, about: string, { leastRequest, guarded, retry }: Parts): Peer {
  const repeats = {
    retry_policy: {
      retry_on: 'connect-failure,reset,retriable-status-codes',
      retriable_status_codes: [502, 503, 504],
      num_retries: RETRIES,
      per_try_timeout: '1s',
      retry_host_predicate: [
        {
          name: 'envoy.retry_host_predicates.previous_hosts',
          typed_config: {
            '@type': 'type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate',
          },
        },
      ],
      host_selection_retry_max_attempts: 3,
    },
  };
  const health = {
    health_checks: [
      {
        timeout: seconds(PROBE.timeoutMs),
        interval: seconds(PROBE.intervalMs),
        // a minute by default, until the first request
        no_traffic_interval: seconds(PROBE.intervalMs),
        unhealthy_threshold: PROBE.unhealthy,
        healthy_threshold: PROBE.healthy,
        http_health_check: { path: PROBE.path },
      },
    ],
    outlier_detection: {
      consecutive_5xx: CONSECUTIVE,
      interval: '1s',
      base_ejection_time: seconds(EJECTION_MS),
      max_ejection_percent: 50,
    },
  };
  const most = { max_connections: 4096, max_pending_requests: 4096, max_requests: 4096 };
  // without it at most three retries may be under way
  const budget = { retry_budget: { budget_percent: { value: 20 }, min_retry_concurrency: 30 } };
  const features: EnvoyFeatures = {
    filters: [],
    route: {},
    action: retry === 'on' ? repeats : {},
    cluster: {
      ...(leastRequest && { lb_policy: 'LEAST_REQUEST' }),
      ...(guarded && health),
      ...(retry === 'on' && { circuit_breakers: { thresholds: [{ ...most, ...budget }] } }),
    },
  };
  return { name, about, needs: ['envoy'], start: (context) => startEnvoy(context, features) };
}
