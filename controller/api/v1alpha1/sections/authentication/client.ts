/** How the gateway is known to an authorization server. */
import { z } from 'zod';
import { secretRef } from '../../secret-ref.ts';

export const oauthClient = z
  .strictObject({
    id: z.string().min(1).max(1024).describe('Its client id.'),
    secretRef: secretRef('A value of a Secret that holds its client secret.'),
    authentication: z
      .enum(['basic', 'post'])
      .default('basic')
      .describe('How it shows the secret: in the header Authorization (client_secret_basic) or in the form.'),
  })
  .meta({ description: 'How the gateway is known to the server.' });
export type OauthClientSpec = z.output<typeof oauthClient>;
