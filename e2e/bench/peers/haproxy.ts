/** HAProxy, one thread, with connection reuse; buffers of 64 KiB so that the large body is not moved in small steps. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { binary, type Peer } from './peer.ts';

export const haproxy: Peer = {
  name: 'haproxy',
  about: '1 thread, connection reuse, 64 KiB buffers, no access log',
  needs: ['haproxy'],
  start: async (context) => {
    const file = join(context.dir, 'haproxy.cfg');
    writeFileSync(
      file,
      `global
  nbthread 1
  maxconn 4096
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
  bind 127.0.0.1:${context.port} backlog 4096
  option forwardfor
  default_backend backend
backend backend
  server one 127.0.0.1:${context.backendPort} pool-max-conn 256
`,
    );
    return context.programs.start('haproxy', binary(context, 'haproxy'), {
      args: ['-f', file, '-db'],
      core: context.core,
      logFile: join(context.dir, 'out.log'),
    });
  },
};
