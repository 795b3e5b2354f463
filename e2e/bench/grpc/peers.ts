/** The proxies with HTTP/2 on both sides, without TLS, each with streams enough for the load. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startEnvoy } from '../peers/envoy.ts';
import { binary, type Peer, type PeerContext } from '../peers/peer.ts';
import { backendAt, routeYaml, startTidegate } from '../peers/tidegate.ts';
import { freePorts } from '../ports.ts';

export const tidegate: Peer = {
  name: 'tidegate',
  about: '1 worker, metrics on, access log (JSON) to a file',
  needs: [],
  start: async (context) => {
    const [http = 0] = await freePorts(1);
    return startTidegate(context, {
      files: ({ endpoints }) => ({
        'gateway.yaml': `${backendAt(endpoints, { protocol: 'grpc' })}---\n${routeYaml('all', '/')}`,
      }),
      env: { TIDEGATE_HTTP_PORT: String(http), TIDEGATE_H2C_PORT: String(context.port) },
    });
  },
};

export const envoy: Peer = {
  name: 'envoy',
  about: 'concurrency 1, HTTP/2 both ways, no access log',
  needs: ['envoy'],
  start: (context) =>
    startEnvoy(context, {
      codec: 'HTTP2',
      filters: [],
      route: {},
      cluster: {
        typed_extension_protocol_options: {
          'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
            '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
            explicit_http_config: { http2_protocol_options: {} },
          },
        },
      },
    }),
};

export const nginx: Peer = {
  name: 'nginx',
  about: '1 worker, grpc_pass over kept connections, no access log',
  needs: ['nginx'],
  start: async (context) => {
    const file = join(context.dir, 'nginx.conf');
    writeFileSync(file, nginxConfiguration(context));
    return context.programs.start('nginx', binary(context, 'nginx'), {
      args: ['-p', context.dir, '-c', file],
      core: context.core,
      logFile: join(context.dir, 'out.log'),
    });
  },
};

function nginxConfiguration({ dir, port, endpoints }: PeerContext): string {
  return `daemon off;
worker_processes 1;
pid ${join(dir, 'nginx.pid')};
error_log ${join(dir, 'error.log')} error;
events { worker_connections 4096; }
http {
  access_log off;
  client_body_temp_path ${join(dir, 'body')};
  proxy_temp_path ${join(dir, 'proxy')};
  fastcgi_temp_path ${join(dir, 'fastcgi')};
  uwsgi_temp_path ${join(dir, 'uwsgi')};
  scgi_temp_path ${join(dir, 'scgi')};
  tcp_nodelay on;
  keepalive_requests 1000000000;
  keepalive_timeout 300s;
  upstream backend {
    ${endpoints.map(({ address, port }) => `server ${address}:${port};`).join(' ')}
    keepalive 1024;
    keepalive_requests 1000000000;
  }
  server {
    listen 127.0.0.1:${port} http2 backlog=4096;
    location / { grpc_pass grpc://backend; }
  }
}
`;
}

export const haproxy: Peer = {
  name: 'haproxy',
  about: '1 thread, HTTP/2 both ways, connection reuse, no access log',
  needs: ['haproxy'],
  start: async (context) => {
    const file = join(context.dir, 'haproxy.cfg');
    writeFileSync(file, haproxyConfiguration(context));
    return context.programs.start('haproxy', binary(context, 'haproxy'), {
      args: ['-f', file, '-db'],
      core: context.core,
      logFile: join(context.dir, 'out.log'),
    });
  },
};

function haproxyConfiguration({ port, endpoints }: PeerContext): string {
  const servers = endpoints.map(({ address, port }, i) => `server s${i} ${address}:${port} proto h2 pool-max-conn 256`);
  return `global
  nbthread 1
  maxconn 4096
defaults
  mode http
  timeout connect 5s
  timeout client 300s
  timeout server 60s
  http-reuse always
frontend in
  bind 127.0.0.1:${port} proto h2 backlog 4096
  option forwardfor
  default_backend backend
backend backend
  ${servers.join('\n  ')}
`;
}
