/** HTTP/2 over TLS in, HTTP/1.1 with kept connections out; P-256 certificates, no access log. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type } from '../peers/envoy.ts';
import { binary, type Peer, type PeerContext } from '../peers/peer.ts';
import { backendAt, startTidegate } from '../peers/tidegate.ts';
import { freePorts } from '../ports.ts';
import { HOST } from './client.ts';

interface Certificate {
  readonly cert: string;
  readonly key: string;
}

function certificate(dir: string): Certificate {
  const files = { cert: join(dir, 'tls.crt'), key: join(dir, 'tls.key') };
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'];
  const names = ['-subj', `/CN=${HOST}`, '-addext', `subjectAltName=DNS:${HOST}`];
  const out = ['-nodes', '-days', '30', '-keyout', files.key, '-out', files.cert];
  execFileSync('openssl', ['req', '-x509', ...curve, ...names, ...out], { stdio: 'ignore' });
  return files;
}

const nginx: Peer = {
  name: 'nginx',
  about: '1 worker, keep-alive to the backend',
  needs: ['nginx'],
  start: async (context) => {
    const { cert, key } = certificate(context.dir);
    const at = (name: string): string => join(context.dir, name);
    const servers = context.endpoints.map(({ address, port }) => `server ${address}:${port};`).join(' ');
    return started(context, 'nginx', 'nginx.conf', (file) => ['-p', context.dir, '-c', file], [
      `daemon off; worker_processes 1; pid ${at('nginx.pid')}; error_log ${at('error.log')} error;`,
      'events { worker_connections 4096; }',
      'http {',
      `  access_log off; client_body_temp_path ${at('body')}; proxy_temp_path ${at('proxy')};`,
      `  fastcgi_temp_path ${at('fastcgi')}; uwsgi_temp_path ${at('uwsgi')}; scgi_temp_path ${at('scgi')};`,
      '  tcp_nodelay on; keepalive_requests 1000000000; keepalive_timeout 300s;',
      `  upstream backend { ${servers} keepalive 256; keepalive_requests 1000000000; }`,
      '  server {',
      `    listen 127.0.0.1:${context.port} ssl http2 backlog=4096; http2_max_concurrent_streams 250;`,
      `    ssl_certificate ${cert}; ssl_certificate_key ${key}; ssl_protocols TLSv1.2 TLSv1.3;`,
      '    location / {',
      '      proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection "";',
      '      proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;',
      '      proxy_set_header X-Forwarded-Proto $scheme; proxy_buffer_size 16k; proxy_buffers 8 64k;',
      '    }',
      '  }',
      '}',
    ]);
  },
};

const haproxy: Peer = {
  name: 'haproxy',
  about: '1 thread, connection reuse',
  needs: ['haproxy'],
  start: async (context) => {
    const { cert, key } = certificate(context.dir);
    const both = join(context.dir, 'both.pem');
    writeFileSync(both, readFileSync(cert, 'latin1') + readFileSync(key, 'latin1'));
    return started(context, 'haproxy', 'haproxy.cfg', (file) => ['-f', file, '-db'], [
      'global',
      '  nbthread 1',
      '  maxconn 4000',
      'defaults',
      '  mode http',
      '  timeout connect 5s',
      '  timeout client 300s',
      '  timeout server 60s',
      '  http-reuse always',
      'frontend in',
      `  bind 127.0.0.1:${context.port} backlog 4096 ssl crt ${both} alpn h2,http/1.1`,
      '  option forwardfor',
      '  default_backend backend',
      'backend backend',
      ...context.endpoints.map(({ address, port }, i) => `  server s${i} ${address}:${port} pool-max-conn 256`),
    ]);
  },
};

const envoy: Peer = {
  name: 'envoy',
  about: 'concurrency 1, static configuration',
  needs: ['envoy'],
  start: async (context) => {
    const { cert, key } = certificate(context.dir);
    const file = (filename: string) => ({ filename });
    const socketAddress = (address: string, port_value: number) => ({ socket_address: { address, port_value } });
    const connectionManager = {
      '@type': type('filters.network.http_connection_manager.v3.HttpConnectionManager'),
      stat_prefix: 'in',
      codec_type: 'HTTP2',
      use_remote_address: true,
      http2_protocol_options: { max_concurrent_streams: 250 },
      route_config: {
        virtual_hosts: [
          { name: 'all', domains: ['*'], routes: [{ match: { prefix: '/' }, route: { cluster: 'backend' } }] },
        ],
      },
      http_filters: [
        { name: 'router', typed_config: { '@type': type('filters.http.router.v3.Router'), dynamic_stats: false } },
      ],
    };
    const tls = {
      '@type': type('transport_sockets.tls.v3.DownstreamTlsContext'),
      common_tls_context: {
        alpn_protocols: ['h2'],
        tls_certificates: [{ certificate_chain: file(cert), private_key: file(key) }],
      },
    };
    const chain = {
      filters: [{ name: 'http', typed_config: connectionManager }],
      transport_socket: { name: 'tls', typed_config: tls },
    };
    const cluster = {
      name: 'backend',
      type: 'STATIC',
      connect_timeout: '5s',
      circuit_breakers: { thresholds: [{ max_connections: 4096, max_pending_requests: 4096, max_requests: 4096 }] },
      load_assignment: {
        cluster_name: 'backend',
        endpoints: [
          {
            lb_endpoints: context.endpoints.map(({ address, port }) => ({
              endpoint: { address: socketAddress(address, port) },
            })),
          },
        ],
      },
    };
    const listener = { name: 'in', address: socketAddress('127.0.0.1', context.port), filter_chains: [chain] };
    const resources = { static_resources: { listeners: [listener], clusters: [cluster] } };
    const more = ['--concurrency', '1', '--disable-hot-restart', '--log-level', 'warning'];
    return started(context, 'envoy', 'envoy.json', (path) => ['-c', path, ...more], [JSON.stringify(resources)]);
  },
};

const tidegate: Peer = {
  name: 'tidegate',
  about: '1 worker, metrics on',
  needs: [],
  start: async (context) => {
    const { cert, key } = certificate(context.dir);
    const base64 = (file: string): string => readFileSync(file).toString('base64');
    const metadata = { name: 'shown', namespace: 'bench' };
    const data = { 'tls.crt': base64(cert), 'tls.key': base64(key) };
    const secret = JSON.stringify({ apiVersion: 'v1', kind: 'Secret', type: 'kubernetes.io/tls', metadata, data });
    const route = JSON.stringify({
      apiVersion: 'tidegate.dev/v1alpha1',
      kind: 'Route',
      metadata: { name: 'all', namespace: 'bench' },
      spec: {
        hosts: [HOST],
        tls: { secret: 'shown' },
        rules: [{ name: 'all', matches: [{ path: { prefix: '/' } }], backends: [{ name: 'backend' }] }],
      },
    });
    const [httpPort = 0] = await freePorts(1);
    const files = { 'gateway.yaml': [secret, backendAt(context.endpoints), route].join('\n---\n') };
    const env = { TIDEGATE_HTTPS_PORT: String(context.port) };
    return startTidegate({ ...context, port: httpPort }, { files: () => files, accessLog: 'off', env });
  },
};

export const peers: readonly Peer[] = [nginx, haproxy, envoy, tidegate];

function started(
  context: PeerContext,
  name: string,
  configuration: string,
  args: (file: string) => string[],
  lines: readonly string[],
) {
  const file = join(context.dir, configuration);
  mkdirSync(context.dir, { recursive: true });
  writeFileSync(file, `${lines.join('\n')}\n`);
  return context.programs.start(name, binary(context, name), {
    args: args(file),
    core: context.core,
    logFile: join(context.dir, 'out.log'),
  });
}
