/** Edits of headers. */
import { z } from 'zod';
import { atLeastOneOf, withRules } from '../../rule.ts';
import { headerEdits } from '../common.ts';

export const transform = withRules(
  z.strictObject({
    request: headerEdits('Edits of the request before it is forwarded.').optional(),
    response: headerEdits('Edits of the response before it is sent.').optional(),
  }),
  atLeastOneOf('request', 'response'),
).meta({ description: 'Edits of headers.' });
