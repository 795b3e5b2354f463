/** Forward-auth. */
import { z } from 'zod';
import { withRules } from '../../../rule.ts';
import { duration, headerName } from '../../common.ts';
import { insecure, secureUnlessTold, serverUrl } from '../../server-url.ts';
import { keepCredential } from './place.ts';
import { timeout } from './times.ts';

const names = z.array(headerName).max(16);

const cache = z
  .strictObject({
    for: duration('How long a yes is believed without asking again: what a revocation takes.'),
    headers: names
      .min(1)
      .optional()
      .describe('Headers of the request, of requestHeaders, that a yes is remembered under. Absent: all of them.'),
    scope: z
      .enum(['Request', 'Caller'])
      .default('Request')
      .describe(
        'Request: a yes is for the same method, host, path and query only. Caller: for every request with the same headers; only for servers that look at nothing else.',
      ),
  })
  .describe('Absent: every request is asked about.');

export const forward = withRules(
  z.strictObject({
    url: serverUrl('Who is asked: a GET to this URL for each request, such as https://auth.example.com/verify.'),
    insecure,
    timeout: timeout('For one question; a request waits no longer. Default 2s.').optional(),
    requestHeaders: names
      .optional()
      .describe(
        'Headers of the request that go along. Default: authorization, cookie. With them: x-forwarded-method, -proto, -host, -uri, -for and x-request-id.',
      ),
    consumerHeader: headerName
      .optional()
      .describe(
        'Header of the answer that names the consumer. Default x-consumer; without it, the name of the method.',
      ),
    groupsHeader: headerName
      .optional()
      .describe('Header of the answer with its groups, with commas between them. Default x-consumer-groups.'),
    copyHeaders: names
      .optional()
      .describe('Headers of the answer that the backend gets; what clients send under these names is dropped.'),
    cache: cache.optional(),
    keepCredential: keepCredential.describe(
      'Whether the backend gets Authorization too, where it goes along. Default: it is taken out. Cookies always stay.',
    ),
  }),
  secureUnlessTold('url'),
  {
    cel: '!has(self.cache) || !has(self.cache.headers) || !has(self.requestHeaders) || self.cache.headers.all(h, self.requestHeaders.exists(r, r.lowerAscii() == h.lowerAscii()))',
    message: 'cache.headers must be among requestHeaders: the server decides by what it sees',
    test: ({ cache: { headers = [] } = {}, requestHeaders }) => {
      const seen = requestHeaders?.map((name) => name.toLowerCase());
      return seen === undefined || headers.every((name) => seen.includes(name.toLowerCase()));
    },
  },
).meta({
  description:
    'Another server is asked whether a request may pass. 2xx is yes; its redirects and 401, 403, 429 reach the client as they are; all else, and no answer in time, is 503.',
});
export type ForwardSpec = z.output<typeof forward>;
