/** Where a credential is looked for in a request. */
import { z } from 'zod';
import { exactlyOneOf, withRules } from '../../../rule.ts';
import { headerName } from '../../common.ts';

const name = (text: string) => z.string().min(1).max(256).optional().describe(text);

export const credentialPlace = withRules(
  z.strictObject({
    header: headerName.optional().describe('Name of a header.'),
    scheme: withRules(z.string().min(1).max(64), {
      cel: "self.matches('^[A-Za-z][A-Za-z0-9-]*$')",
      message: 'must be a scheme such as Bearer: letters, digits and -',
      test: (value) => /^[A-Za-z][A-Za-z0-9-]*$/.test(value),
    })
      .optional()
      .describe('With header: the word before the credential, such as Bearer.'),
    query: name('Name of a query parameter. Query strings end in logs of other systems: prefer a header.'),
    cookie: name('Name of a cookie.'),
  }),
  exactlyOneOf('header', 'query', 'cookie'),
  {
    cel: '!has(self.scheme) || has(self.header)',
    message: 'scheme needs header: it stands before the credential there',
    test: (value) => value.scheme === undefined || value.header !== undefined,
  },
);
export type CredentialPlaceSpec = z.output<typeof credentialPlace>;

export const keepCredential = z
  .boolean()
  .default(false)
  .describe('Whether the backend gets the credential too. Default: it is taken out of the request.');
