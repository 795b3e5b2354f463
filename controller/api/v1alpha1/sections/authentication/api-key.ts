/** API keys. */
import { z } from 'zod';
import { withRules } from '../../../rule.ts';
import { secretRefs, secretSelector } from '../../secret-ref.ts';
import { fromSomewhere, fromStore } from './credentials-of.ts';
import { credentialPlace, keepCredential } from './place.ts';

export const apiKey = withRules(
  z.strictObject({
    from: z
      .array(credentialPlace)
      .min(1)
      .max(8)
      .optional()
      .describe('Where the key is looked for; the first place that holds one counts. Absent: the header x-api-key.'),
    secretRefs: secretRefs(
      'Secrets with keys: each data key is a consumer, its value one or several API keys, one a line. The annotation tidegate.dev/groups on the Secret lists groups of all its consumers.',
    ),
    secretSelector: secretSelector('The same, for all Secrets of the namespace with these labels.'),
    store: fromStore,
    keepCredential,
  }),
  fromSomewhere,
).meta({ description: 'A key that names its consumer.' });
export type ApiKeySpec = z.output<typeof apiKey>;
