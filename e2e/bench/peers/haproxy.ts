/** HAProxy, one thread, with connection reuse; buffers of 64 KiB so that the large body is not moved in small steps. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Program } from '../programs.ts';
import { binary, type Peer, type PeerContext } from './peer.ts';

export interface HaproxyFeatures {
  /** Parameters of its address. */
  readonly bind?: string;
  /** Lines of the backend, before its servers. */
  readonly backend?: readonly string[];
  /** Parameters of each server. */
  readonly server?: string;
}

function configuration(context: PeerContext, { backend = [], server = '', bind = '' }: HaproxyFeatures): string {
  const servers = context.endpoints.map(
    ({ address, port }, i) => `server s${i} ${address}:${port} pool-max-conn 256 ${server}`,
  );
  return `global
  nbthread ${context.workers ?? 1}
  maxconn 16000
  no strict-limits
  tune.bufsize 65536
defaults
  mode http
  timeout connect 5s
  timeout client 300s
  timeout server 60s
  timeout http-keep-alive 300s
  option http-keep-alive
  http-reuse always
frontend in
  bind 127.0.0.1:${context.port} backlog 4096 ${bind}
  option forwardfor
  default_backend backend
backend backend
  ${[...backend, ...servers].join('\n  ')}
`;
}

export async function startHaproxy(context: PeerContext, features: HaproxyFeatures): Promise<Program> {
  const file = join(context.dir, 'haproxy.cfg');
  writeFileSync(file, configuration(context, features));
  return context.programs.start('haproxy', binary(context, 'haproxy'), {
    args: ['-f', file, '-db'],
    core: context.core,
    logFile: join(context.dir, 'out.log'),
  });
}

export const haproxy: Peer = {
  name: 'haproxy',
  about: '1 thread, connection reuse, 64 KiB buffers, no access log',
  needs: ['haproxy'],
  start: (context) => startHaproxy(context, {}),
};
