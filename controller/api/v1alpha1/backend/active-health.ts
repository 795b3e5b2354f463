/** Probes: each data plane asks every endpoint by itself whether it serves. */
import { z } from 'zod';
import { exactlyOneOf, withRules } from '../../rule.ts';
import { boundedDuration, integer, listMap, ownHeader, pattern } from '../common.ts';

const path = pattern(
  'Path and query. Default /.',
  '^/[!-~]*$',
  'must begin with / and hold printable ASCII without spaces, such as /healthz',
  1024,
);

const host = pattern(
  'The Host header. Default: address and port of the endpoint.',
  '^([a-z0-9]([-.a-z0-9]*[a-z0-9])?|\\[[0-9a-f:.]+\\])(:[0-9]{1,5})?$',
  'must be a host name in lower case or an address, with or without port',
  253,
);

/** `200` or `200-299`. */
export const STATUS_RANGE = /^([1-5][0-9][0-9])(?:-([1-5][0-9][0-9]))?$/;

const statuses = withRules(
  z.string().min(1).max(7).meta({ description: 'A status or a range of them: 200, 200-299.' }),
  {
    cel: "self.matches('^[1-5][0-9][0-9](-[1-5][0-9][0-9])?$')",
    message: 'must be a status or a range of them such as 200 or 200-299',
    test: (value) => STATUS_RANGE.test(value),
    last: true,
  },
  {
    // Text of one length sorts as its numbers do; what is not of the form above is its own rule's.
    cel: 'self.size() != 7 || self.substring(0, 3) <= self.substring(4, 7)',
    message: 'must begin with the lower status',
    test: (value) => value.length !== 7 || value.slice(0, 3) <= value.slice(4),
  },
);

const http = z
  .strictObject({
    path: path.optional(),
    method: z.enum(['GET', 'HEAD', 'OPTIONS']).optional().describe('Default GET.'),
    host: host.optional(),
    headers: listMap(z.array(ownHeader).max(16), 'name').optional().describe('Further headers of the request.'),
    statuses: z
      .array(statuses)
      .min(1)
      .max(16)
      .optional()
      .describe('What a healthy endpoint answers, one of these. Default 200-299. Redirects are not followed.'),
  })
  .describe(
    'A request by the protocol of the backend, over TLS where it has it. Of the response the status counts; its first 64 KiB are read.',
  );

const grpc = z
  .strictObject({
    service: z.string().max(256).optional().describe('The service asked about. Default: the server as a whole.'),
  })
  .describe('grpc.health.v1.Health/Check, over TLS where the backend has it: healthy is SERVING.');

const threshold = integer(1, 1000);

export const activeHealth = withRules(
  z.strictObject({
    http: http.optional(),
    tcp: z.strictObject({}).optional().describe('A connection that opens; it is closed at once.'),
    grpc: grpc.optional(),
    port: integer(1, 65_535).optional().describe('Where to probe. Default: the port of the endpoint.'),
    interval: boundedDuration(
      'From the end of a probe to the next one of the endpoint. Default 5s.',
      '100ms',
      '24h',
    ).optional(),
    jitterPercent: integer(0, 100)
      .optional()
      .describe('Each interval is longer or shorter by up to this part of it, at random. Default 20.'),
    timeout: boundedDuration('For the whole probe; longer is a failure. Default 1s.', '1ms', '10m').optional(),
    healthyThreshold: threshold
      .optional()
      .describe('Successes, one after the other, that make an unhealthy endpoint healthy. Default 2.'),
    unhealthyThreshold: threshold
      .optional()
      .describe(
        'Failures, one after the other, that make a healthy endpoint unhealthy; of an endpoint never probed before, one is enough. Default 3.',
      ),
  }),
  exactlyOneOf('http', 'tcp', 'grpc'),
).describe(
  'Probes of every endpoint, by each data plane, once for all its workers. An endpoint counts as healthy until its first probe is answered.',
);
export type ActiveHealthSpec = z.output<typeof activeHealth>;
