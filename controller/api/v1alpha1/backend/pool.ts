/** Connections kept to each endpoint, and how much may be under way. */
import { z } from 'zod';
import { duration, integer } from '../common.ts';

export const pool = z
  .strictObject({
    maxConnections: integer(1, 65535)
      .optional()
      .describe('Connections to one endpoint, of each worker of a data plane. Default 512.'),
    maxPending: integer(0, 1_000_000)
      .optional()
      .describe('Requests that may wait for a connection; more are answered 503 at once. Default 1024.'),
    idleTimeout: duration('How long a connection is kept without a request. Default 60s.').optional(),
  })
  .describe('Connections kept to each endpoint.');
export type PoolSpec = z.output<typeof pool>;
