/** The plain proxies behind TLS 1.3 with one ECDSA certificate (P-256), HTTP/1.1 only. */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startEnvoy, type } from '../peers/envoy.ts';
import { startHaproxy } from '../peers/haproxy.ts';
import { startNginx } from '../peers/nginx.ts';
import type { Peer } from '../peers/peer.ts';
import { backendAt, startTidegate } from '../peers/tidegate.ts';

export interface Certificate {
  /** Files, PEM. */
  readonly chain: string;
  readonly key: string;
  /** Both in one file. */
  readonly both: string;
}

export function makeCertificate(dir: string): Certificate {
  const [chain, key, both] = ['tls.crt', 'tls.key', 'tls.pem'].map((name) => join(dir, name)) as [
    string,
    string,
    string,
  ];
  const make = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
  execFileSync('openssl', [...make, '-subj', '/CN=bench.test', '-keyout', key, '-out', chain], { stdio: 'pipe' });
  writeFileSync(both, readFileSync(chain, 'utf8') + readFileSync(key, 'utf8'));
  return { chain, key, both };
}

function tidegateFiles(endpoints: Parameters<typeof backendAt>[0], { chain, key }: Certificate): string {
  const base64 = (file: string): string => readFileSync(file).toString('base64');
  const metadata = { name: 'all', namespace: 'bench' };
  const documents = [
    {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata,
      type: 'kubernetes.io/tls',
      data: { 'tls.crt': base64(chain), 'tls.key': base64(key) },
    },
    {
      apiVersion: 'tidegate.dev/v1alpha1',
      kind: 'Route',
      metadata,
      spec: { tls: { secret: 'all' }, rules: [{ name: 'all', backends: [{ name: 'backend' }] }] },
    },
  ];
  return [backendAt(endpoints), ...documents.map((document) => `${JSON.stringify(document)}\n`)].join('---\n');
}

/** In Tidegate's order, so that nginx and HAProxy choose the same. What Envoy chooses has no setting. */
const SUITES = 'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256';

export function tlsPeers(certificate: Certificate): Peer[] {
  const { chain, key, both } = certificate;
  return [
    {
      name: 'nginx',
      about: '1 worker, TLS 1.3',
      needs: ['nginx'],
      start: (context) =>
        startNginx(context, {
          servers: (port, proxying) => `server {
    listen 127.0.0.1:${port} ssl backlog=4096;
    ssl_certificate ${chain};
    ssl_certificate_key ${key};
    ssl_protocols TLSv1.3;
    ssl_conf_command Ciphersuites ${SUITES};
    ssl_prefer_server_ciphers on;
    location / {
      ${proxying}
    }
  }`,
        }),
    },
    {
      name: 'tidegate',
      about: '1 worker, metrics on, no access log',
      needs: [],
      start: (context) =>
        startTidegate(context, {
          files: ({ endpoints }) => ({ 'gateway.yaml': tidegateFiles(endpoints, certificate) }),
          accessLog: 'off',
          env: { TIDEGATE_HTTP_PORT: '0', TIDEGATE_HTTPS_PORT: String(context.port) },
        }),
    },
    {
      name: 'haproxy',
      about: '1 thread, TLS 1.3',
      needs: ['haproxy'],
      start: (context) => startHaproxy(context, { bind: `ssl crt ${both} ssl-min-ver TLSv1.3 ciphersuites ${SUITES}` }),
    },
    {
      name: 'envoy',
      about: 'concurrency 1, TLS 1.3',
      needs: ['envoy'],
      start: (context) =>
        startEnvoy(context, {
          filters: [],
          route: {},
          transportSocket: {
            name: 'tls',
            typed_config: {
              '@type': type('transport_sockets.tls.v3.DownstreamTlsContext'),
              common_tls_context: {
                tls_params: { tls_minimum_protocol_version: 'TLSv1_3', tls_maximum_protocol_version: 'TLSv1_3' },
                tls_certificates: [{ certificate_chain: { filename: chain }, private_key: { filename: key } }],
              },
            },
          },
        }),
    },
  ];
}
