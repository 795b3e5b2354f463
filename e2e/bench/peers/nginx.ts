/** nginx, one worker, tuned as its own documentation advises for a reverse proxy that keeps connections to its backend. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Program } from '../programs.ts';
import { binary, type Peer, type PeerContext } from './peer.ts';

export interface NginxFeatures {
  /** Lines of the http block, before its servers. */
  readonly http?: readonly string[];
  /** In place of the one server; gets the port and what each location needs to proxy. */
  readonly servers?: (port: number, proxying: string) => string;
  /** An access log. */
  readonly log?: true;
  /** Lines of the upstream, before its servers. */
  readonly upstream?: readonly string[];
  /** Parameters of each server. */
  readonly server?: string;
  /** More lines of the location. */
  readonly location?: readonly string[];
}

function configuration(
  context: PeerContext,
  { log, upstream = [], server = '', location = [], http = [], servers: own }: NginxFeatures,
): string {
  const servers = context.endpoints.map(({ address, port }) => `server ${address}:${port} ${server};`);
  const access = log
    ? `access_log ${join(context.dir, 'access.log')} combined buffer=64k flush=1s;`
    : 'access_log off;';
  const proxying = [
    'proxy_pass http://backend;',
    'proxy_http_version 1.1;',
    'proxy_set_header Connection "";',
    'proxy_set_header Host $http_host;',
    'proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;',
    'proxy_set_header X-Forwarded-Proto $scheme;',
    'proxy_buffer_size 16k;',
    'proxy_buffers 8 64k;',
    'proxy_busy_buffers_size 128k;',
    'proxy_max_temp_file_size 0;',
    ...location,
  ].join('\n      ');
  return `daemon off;
worker_processes ${context.workers ?? 1};
worker_rlimit_nofile 20000;
pid ${join(context.dir, 'nginx.pid')};
error_log ${join(context.dir, 'error.log')} error;
events { worker_connections 16384; }
http {
  ${access}
  client_body_temp_path ${join(context.dir, 'body')};
  proxy_temp_path ${join(context.dir, 'proxy')};
  fastcgi_temp_path ${join(context.dir, 'fastcgi')};
  uwsgi_temp_path ${join(context.dir, 'uwsgi')};
  scgi_temp_path ${join(context.dir, 'scgi')};
  tcp_nodelay on;
  keepalive_requests 1000000000;
  keepalive_timeout 300s;
  ${http.join('\n  ')}
  upstream backend {
    ${[...upstream, ...servers].join('\n    ')}
    keepalive 256;
    keepalive_requests 1000000000;
  }
  ${own === undefined ? oneServer(context.port, proxying) : own(context.port, proxying)}
}
`;
}

function oneServer(port: number, proxying: string): string {
  return `server {
    listen 127.0.0.1:${port} backlog=4096;
    location / {
      ${proxying}
    }
  }`;
}

export async function startNginx(context: PeerContext, features: NginxFeatures): Promise<Program> {
  const file = join(context.dir, 'nginx.conf');
  writeFileSync(file, configuration(context, features));
  return context.programs.start('nginx', binary(context, 'nginx'), {
    args: ['-p', context.dir, '-c', file],
    core: context.core,
    logFile: join(context.dir, 'out.log'),
  });
}

export const nginx: Peer = {
  name: 'nginx',
  about: '1 worker, keep-alive to the backend, no access log',
  needs: ['nginx'],
  start: (context) => startNginx(context, {}),
};

export const nginxLogging: Peer = {
  name: 'nginx+log',
  about: 'the same with an access log (combined, buffered 64 KiB)',
  needs: ['nginx'],
  start: (context) => startNginx(context, { log: true }),
};
