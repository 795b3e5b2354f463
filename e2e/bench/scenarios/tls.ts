/** TLS 1.3 towards clients: over kept connections, and with a full handshake for each request. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { bodies } from '../peers/backend.ts';
import type { Result } from '../report.ts';
import type { Scenario } from '../scenario.ts';
import { handshakes, tlsClient } from '../tls/client.ts';
import { makeCertificate, tlsPeers } from '../tls/peers.ts';
import type { Bench } from './bench.ts';
import { compare } from './compare.ts';

export const scenario: Scenario = {
  name: 'tls',
  about: 'TLS 1.3, connections kept, and a full handshake for each request',
  order: 14,
  quick: true,
  run: tls,
};

async function tls(bench: Bench): Promise<Result[]> {
  const dir = join(bench.dir, 'tls');
  mkdirSync(dir, { recursive: true });
  const peers = tlsPeers(makeCertificate(dir));
  const request = { path: bodies.small.path, content: bodies.small.content, client: tlsClient };
  const common = { peers, checks: [], goals: [{ proxy: 'tidegate', against: 'nginx', atMost: 1.15 }] };
  return [
    ...(await compare(bench, 'tls', { ...common, id: 'tls-keep', name: 'TLS 1.3, keep-alive', request })),
    ...(await compare(bench, 'tls', {
      ...common,
      peers: peers.map((peer) => ({ ...peer, needs: [...peer.needs, 'h2load'] })),
      id: 'tls-full',
      name: 'TLS 1.3, a full handshake each',
      request: { ...request, client: handshakes },
    })),
  ];
}
