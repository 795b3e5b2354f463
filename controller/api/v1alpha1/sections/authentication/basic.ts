/** User and password. */
import { z } from 'zod';
import { withRules } from '../../../rule.ts';
import { secretRefs, secretSelector } from '../../secret-ref.ts';
import { fromSomewhere, fromStore } from './credentials-of.ts';
import { keepCredential } from './place.ts';

const REALM = /^[ !#-[\]-~]+$/;

const realm = withRules(z.string().min(1).max(128), {
  cel: "self.matches('^[ !#-\\\\[\\\\]-~]+$')",
  message: 'must be printable ASCII without quotation marks and backslashes',
  test: (value) => REALM.test(value),
});

export const basic = withRules(
  z.strictObject({
    realm: realm.optional().describe('What browsers show when they ask for the password. Default: tidegate.'),
    secretRefs: secretRefs(
      'Secrets with users: each data key is a user, its value the hash of the password: scrypt ($scrypt$…), argon2id ($argon2id$…) or bcrypt ($2y$…, at most 72 bytes of the password count). The keys auth and .htpasswd hold files as htpasswd -B writes them. The annotation tidegate.dev/groups on the Secret lists groups of all its users.',
    ),
    secretSelector: secretSelector('The same, for all Secrets of the namespace with these labels.'),
    store: fromStore,
    keepCredential,
  }),
  fromSomewhere,
).meta({ description: 'User and password in the header Authorization (RFC 7617). The consumer is the user.' });
export type BasicSpec = z.output<typeof basic>;
