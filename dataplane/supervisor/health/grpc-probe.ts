/**
 * The gRPC health checking protocol (grpc.health.v1, github.com/grpc/grpc doc/health-checking.md): Check answers SERVING. The channel is
 * kept while it serves; after a failure there is a new one, as gRPC's own back-off would hide a recovery.
 */

import type { SecureContext } from 'node:tls';
import {
  ChannelCredentials,
  type ChannelOptions,
  type Client,
  credentials,
  makeClientConstructor,
  status,
} from '@grpc/grpc-js';
import { fromJSON } from '@grpc/proto-loader';
import type { ActiveHealth } from '../../snapshot/backend/health.ts';
import { endpointName } from '../../snapshot/backend/view.ts';
import type { TlsSettings } from '../../upstream/dial/tls-settings.ts';
import type { Probe, ProbeOutcome, ProbeTarget } from './probe.ts';
import { SUCCESS } from './probe.ts';

type GrpcProbe = Extract<ActiveHealth['probe'], { kind: 'grpc' }>;

interface HealthCall {
  cancel(): void;
}
type Answer = (error: { code?: number } | null, response?: { status: string }) => void;
interface HealthClient extends Client {
  Check(request: { service: string }, answer: Answer): HealthCall;
}

/** The part of health.proto that is called. */
const HEALTH = {
  nested: {
    grpc: {
      nested: {
        health: {
          nested: {
            v1: {
              nested: {
                Health: {
                  methods: { Check: { requestType: 'HealthCheckRequest', responseType: 'HealthCheckResponse' } },
                },
                HealthCheckRequest: { fields: { service: { type: 'string', id: 1 } } },
                HealthCheckResponse: {
                  fields: { status: { type: 'ServingStatus', id: 1 } },
                  nested: {
                    ServingStatus: { values: { UNKNOWN: 0, SERVING: 1, NOT_SERVING: 2, SERVICE_UNKNOWN: 3 } },
                  },
                },
              },
            },
          },
        },
      },
    },
  },
} as const;

const definitions = fromJSON(HEALTH as unknown as Parameters<typeof fromJSON>[0], { enums: String, defaults: true });
/** For tests, too: what a server of it implements. */
export const healthService = definitions['grpc.health.v1.Health'] as Parameters<typeof makeClientConstructor>[0];
const Constructor = makeClientConstructor(healthService, 'grpc.health.v1.Health');

const CHANNEL: Partial<ChannelOptions> = {
  'grpc.enable_channelz': 0,
  'grpc.enable_retries': 0,
  'grpc.enable_http_proxy': 0,
  // Nothing is shared with the channel before it, its back-off least of all.
  'grpc.use_local_subchannel_pool': 1,
  'grpc.service_config_disable_resolution': 1,
  'grpc.max_receive_message_length': 64 * 1024,
};

/** `tls`: null for cleartext. */
export function openGrpcProbe({ service }: GrpcProbe, target: ProbeTarget, tls: TlsSettings | null): Probe {
  // An IPv6 address would be read as one without a port.
  const address = `dns:${endpointName(target)}`;
  const channel = tls === null ? null : secure(target, tls);
  let client: HealthClient | null = null;
  const drop = (): void => {
    client?.close();
    client = null;
  };
  return {
    run: (signal) =>
      new Promise<ProbeOutcome>((resolve) => {
        if (signal.aborted) {
          resolve({ result: 'timeout', detail: 'aborted' });
          return;
        }
        client ??= new Constructor(
          address,
          channel?.credentials ?? credentials.createInsecure(),
          channel?.options ?? CHANNEL,
        ) as unknown as HealthClient;
        const call = client.Check({ service }, (error, response) => {
          signal.removeEventListener('abort', abort);
          const outcome = signal.aborted ? ({ result: 'timeout', detail: 'aborted' } as const) : read(error, response);
          if (outcome.result !== 'success' && outcome.result !== 'not-serving') drop();
          resolve(outcome);
        });
        const abort = (): void => call.cancel();
        signal.addEventListener('abort', abort, { once: true });
      }),
    close: drop,
  };
}

/** As requests are sent to the endpoint: the same CAs, certificate and name. */
function secure({ address, hostName = '' }: ProbeTarget, tls: TlsSettings) {
  const { secureContext, servername, checkServerIdentity } = tls.optionsFor({ address, hostName, session: null });
  return {
    credentials: ChannelCredentials.createFromSecureContext(
      secureContext as SecureContext,
      checkServerIdentity === undefined ? {} : { checkServerIdentity },
    ),
    // Else grpc-js sends the address as SNI, which TLS does not allow and Node refuses.
    options: { ...CHANNEL, 'grpc.ssl_target_name_override': servername || 'unnamed.invalid' },
  };
}

function read(error: { code?: number } | null, response: { status: string } | undefined): ProbeOutcome {
  if (error === null) {
    return response?.status === 'SERVING' ? SUCCESS : { result: 'not-serving', detail: response?.status ?? '' };
  }
  const detail = status[error.code ?? status.UNKNOWN] ?? 'UNKNOWN';
  if (error.code === status.UNAVAILABLE) return { result: 'connect', detail };
  // health-checking.md: a server that does not know the service answers NOT_FOUND.
  if (error.code === status.NOT_FOUND) return { result: 'not-serving', detail };
  return { result: 'protocol', detail };
}
