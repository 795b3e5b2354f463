/** What of a token says who calls. */
import { z } from 'zod';
import { editableName, listMap } from '../../common.ts';

const claim = (text: string) =>
  z
    .string()
    .min(1)
    .max(256)
    .describe(
      `${text} A claim of that very name counts; where there is none, dots lead into objects (realm_access.roles).`,
    );

export const claims = z
  .strictObject({
    consumer: claim('Names the consumer; a token without it is refused. Default sub.').optional(),
    groups: claim('Lists its groups. Default groups.').optional(),
    scopes: claim('Lists its scopes, or holds them in one text with spaces between them. Default scope.').optional(),
    required: z
      .array(
        z.strictObject({
          claim: claim('Must be there.'),
          values: z
            .array(z.string().max(1024))
            .min(1)
            .max(64)
            .optional()
            .describe('The claim must be one of these, or list one of these. Absent: it must be there.'),
        }),
      )
      .max(16)
      .optional()
      .describe('Claims without which a token is refused.'),
  })
  .optional()
  .describe('Which claims say who calls.');
export type ClaimsSpec = z.output<typeof claims>;

export const claimHeaders = listMap(
  z.array(z.strictObject({ header: editableName, claim: claim('Its value; lists with commas.') })).max(32),
  'header',
)
  .optional()
  .describe('Headers that tell the backend of claims; what clients send under these names is dropped.');
export type ClaimHeadersSpec = z.output<typeof claimHeaders>;
