/** Where a method's credentials come from: Secrets, the credential store, or both. */
import { z } from 'zod';

export const fromStore = z
  .boolean()
  .optional()
  .describe(
    'Whether the credential store counts too, where the Secrets hold none like it: TIDEGATE_CREDENTIALS of the data planes (chart: dataplane.credentials), filled by `tidegate credentials`. What changes there counts within 2 s.',
  );

/** `store: false` alone would be a method that nobody can pass. */
export const fromSomewhere = {
  cel: 'has(self.secretRefs) || has(self.secretSelector) || (has(self.store) && self.store)',
  message: 'set at least one of secretRefs, secretSelector, store',
  test: (value: {
    readonly secretRefs?: unknown;
    readonly secretSelector?: unknown;
    readonly store?: boolean | undefined;
  }) => value.secretRefs !== undefined || value.secretSelector !== undefined || value.store === true,
};
