/** Envoy, one worker thread, static configuration. Its main thread shares the core and is accounted too. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Program } from '../programs.ts';
import { binary, type Endpoint, type Peer, type PeerContext } from './peer.ts';

export const type = (name: string) => `type.googleapis.com/envoy.extensions.${name}`;

export interface EnvoyFeatures {
  /** Of the listener. */
  readonly transportSocket?: object;
  /** Of clients; `HTTP1` when absent. */
  readonly codec?: 'HTTP1' | 'HTTP2';
  /** HTTP filters before the router. */
  readonly filters: readonly object[];
  /** More fields of the only route. */
  readonly route: object;
  /** More fields of its action. */
  readonly action?: object;
  /** More fields of the only cluster. */
  readonly cluster?: object;
}

function configuration(port: number, endpoints: readonly Endpoint[], features: EnvoyFeatures): object {
  const socketAddress = (address: string, port_value: number) => ({ socket_address: { address, port_value } });
  const connectionManager = {
    '@type': type('filters.network.http_connection_manager.v3.HttpConnectionManager'),
    stat_prefix: 'in',
    codec_type: features.codec ?? 'HTTP1',
    use_remote_address: true,
    route_config: {
      virtual_hosts: [
        {
          name: 'all',
          domains: ['*'],
          routes: [
            {
              match: { prefix: '/' },
              route: { cluster: 'backend', timeout: '60s', ...features.action },
              ...features.route,
            },
          ],
        },
      ],
    },
    http_filters: [
      ...features.filters,
      { name: 'router', typed_config: { '@type': type('filters.http.router.v3.Router'), dynamic_stats: false } },
    ],
  };
  return {
    static_resources: {
      listeners: [
        {
          name: 'in',
          address: socketAddress('127.0.0.1', port),
          filter_chains: [
            {
              filters: [{ name: 'http', typed_config: connectionManager }],
              ...(features.transportSocket && { transport_socket: features.transportSocket }),
            },
          ],
        },
      ],
      clusters: [
        {
          name: 'backend',
          type: 'STATIC',
          connect_timeout: '5s',
          circuit_breakers: { thresholds: [{ max_connections: 4096, max_pending_requests: 4096, max_requests: 4096 }] },
          load_assignment: {
            cluster_name: 'backend',
            endpoints: [
              {
                lb_endpoints: endpoints.map(({ address, port }) => ({
                  endpoint: { address: socketAddress(address, port) },
                })),
              },
            ],
          },
          ...features.cluster,
        },
      ],
    },
  };
}

export async function startEnvoy(context: PeerContext, features: EnvoyFeatures): Promise<Program> {
  const file = join(context.dir, 'envoy.json');
  writeFileSync(file, JSON.stringify(configuration(context.port, context.endpoints, features), undefined, 2));
  return context.programs.start('envoy', binary(context, 'envoy'), {
    args: [
      '-c',
      file,
      '--concurrency',
      String(context.workers ?? 1),
      '--disable-hot-restart',
      '--log-level',
      'warning',
    ],
    core: context.core,
    logFile: join(context.dir, 'out.log'),
  });
}

export const envoy: Peer = {
  name: 'envoy',
  about: 'concurrency 1, static configuration, no access log',
  needs: ['envoy'],
  start: (context) => startEnvoy(context, { filters: [], route: {} }),
};
