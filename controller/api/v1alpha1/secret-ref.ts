/** How a policy names Secrets of its own namespace. The store finds references by these field names (store/references.ts). */
import { z } from 'zod';
import { withRules } from '../rule.ts';
import { objectName } from './common.ts';

const dataKey = withRules(z.string().min(1).max(253), {
  cel: "self.matches('^[-._a-zA-Z0-9]+$')",
  message: 'must be a key of the Secret: letters, digits, -, _ and .',
  test: (value) => /^[-._a-zA-Z0-9]+$/.test(value),
});

/** One value of a Secret. */
export const secretRef = (text: string) =>
  z
    .strictObject({
      name: objectName('Name of the Secret, in the namespace of the Policy.'),
      key: dataKey.describe('Key of its data.'),
    })
    .meta({ description: text });
export type SecretRef = z.output<ReturnType<typeof secretRef>>;

/** Whole Secrets, by name. */
export const secretRefs = (text: string) =>
  z
    .array(z.strictObject({ name: objectName('Name of the Secret, in the namespace of the Policy.') }))
    .max(16)
    .optional()
    .meta({ description: text });

/** Whole Secrets, by their labels. */
export const secretSelector = (text: string) =>
  z
    .strictObject({
      matchLabels: z
        .record(z.string(), z.string().max(63))
        .refine((labels) => Object.keys(labels).length > 0, 'must not be empty')
        .meta({ description: 'Labels that a Secret must all have.', maxProperties: 8, minProperties: 1 }),
    })
    .optional()
    .meta({ description: text });
