/** What balancing by latency, health checks, breakers, outlier detection and a retry policy cost a request that needs none of them. */
import { bodies } from '../peers/backend.ts';
import type { Peer } from '../peers/peer.ts';
import type { Result } from '../report.ts';
import { envoyPeer, haproxyPeer, nginxPeer } from '../resilience/others.ts';
import { ENDPOINTS } from '../resilience/settings.ts';
import { tidegatePeer } from '../resilience/tidegate.ts';
import type { Scenario } from '../scenario.ts';
import type { Bench } from './bench.ts';
import { compare } from './compare.ts';
import { nginxAt } from './turns.ts';

const all = { leastRequest: true, guarded: true, retry: 'on' } as const;

const peers: readonly Peer[] = [
  nginxPeer('nginx', 'round robin', {}),
  tidegatePeer('tidegate', 'round robin', { algorithm: 'roundRobin' }),
  tidegatePeer('tidegate guarded', 'peak-EWMA, active health, outliers, breakers, retries', {
    algorithm: 'peakEwma',
    guarded: true,
    retry: 'on',
  }),
  nginxPeer('nginx guarded', 'least_conn, max_fails, proxy_next_upstream', all),
  haproxyPeer('haproxy guarded', 'leastconn, checks, observe, retries', all),
  envoyPeer('envoy', 'round robin', {}),
  envoyPeer('envoy guarded', 'LEAST_REQUEST, health checks, outlier detection, retries', all),
];

const quickPeers: readonly string[] = ['nginx', 'tidegate', 'tidegate guarded'];

export const scenario: Scenario = {
  name: 'resilience',
  about: 'what health checks, breakers and retries cost over 8 endpoints',
  order: 40,
  quick: true,
  run: resilience,
};

export function resilience(bench: Bench): Promise<Result[]> {
  return compare(bench, 'resilience', {
    id: 'resilience',
    name: `${ENDPOINTS} endpoints, all of them well`,
    peers: bench.quick ? peers.filter(({ name }) => quickPeers.includes(name)) : peers,
    request: { path: bodies.small.path, content: bodies.small.content },
    backends: nginxAt(ENDPOINTS),
    checks: [],
    goals: [
      { proxy: 'tidegate guarded', against: 'tidegate', atMost: 1.1 },
      { proxy: 'envoy guarded', against: 'envoy', atMost: 1.1 },
    ],
  });
}
