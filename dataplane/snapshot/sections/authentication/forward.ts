/** Forward-auth: another server is asked about every request. */
import { z } from 'zod';
import { durationMs, headerName, serverUrl } from '../../primitives.ts';
import { methodBase } from './source.ts';

const names = z.array(headerName).max(32);

export const forwardMethod = z.strictObject({
  kind: z.literal('forward'),
  ...methodBase,
  url: serverUrl,
  /** For one question. */
  timeoutMs: durationMs.min(1),
  /** Headers of the request that go along; one of them that is there counts as a credential. */
  requestHeaders: names,
  /** Header of the answer that names the consumer; without it the consumer is called as the method. */
  consumerHeader: headerName,
  /** Header of the answer with groups, with commas between them. */
  groupsHeader: headerName,
  /** Headers of the answer that the backend gets, in place of the client's. */
  copyHeaders: names,
  /** How long a yes is believed without asking again. 0: not at all. */
  cacheMs: durationMs,
  /** Headers of the request, of those that go along, that a yes is remembered under. */
  cacheHeaders: names,
  /** `request`: a yes is for this method, host, path and query too. `caller`: for all that has the same headers. */
  cacheScope: z.enum(['request', 'caller']),
});
