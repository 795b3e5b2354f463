/** API keys: a shared secret that names its consumer. */
import { z } from 'zod';
import { id } from '../../primitives.ts';
import { credentialPlace, methodBase } from './source.ts';

export const apiKeyMethod = z.strictObject({
  kind: z.literal('apiKey'),
  ...methodBase,
  /** The first place that holds something counts. */
  from: z.array(credentialPlace).min(1).max(8),
  /** Ids of credentials resources of type apiKey; of two with the same key the first counts. */
  credentials: z.array(id).max(64),
  /** Keys of the credential store too, where the resources hold none like it. */
  store: z.boolean().default(false),
});
