/** HTTP message signatures (RFC 9421). */
import { z } from 'zod';
import { atLeastOneOf, withRules } from '../../../rule.ts';
import { duration, integer, show } from '../../common.ts';
import { secretRefs, secretSelector } from '../../secret-ref.ts';
import { keepCredential } from './place.ts';

/** Derived components of requests that can be asked for by name alone (RFC 9421 section 2.2). */
const DERIVED = ['@method', '@target-uri', '@authority', '@scheme', '@request-target', '@path', '@query'];
const COMPONENT = `^(${DERIVED.join('|')}|[!#$%&*+.^_\`|~0-9a-z-]+)$`;
const MESSAGE = `must be the name of a header in lower case, or one of ${DERIVED.join(', ')}`;

const component = withRules(z.string().min(1).max(256), {
  cel: `self.matches(r'${COMPONENT}')`,
  message: MESSAGE,
  test: (value) => new RegExp(COMPONENT).test(value) || `${MESSAGE}, got ${show(value)}`,
});

export const signature = withRules(
  z.strictObject({
    secretRefs: secretRefs(
      'Secrets with keys: each data key is a consumer. Its value is a public key in PEM (then the keyid of its signatures is the consumer, and the algorithm ed25519, ecdsa-p256-sha256 or rsa-pss-sha512 by the type of the key), or JSON: {"keyId": …, "algorithm": …, "key": PEM, JWK or, for hmac-sha256, base64 of at least 32 bytes}, or a list of those. Algorithms: ed25519, ecdsa-p256-sha256, rsa-pss-sha512, rsa-v1_5-sha256, hmac-sha256. The annotation tidegate.dev/groups on the Secret lists groups of all its consumers.',
    ),
    secretSelector: secretSelector('The same, for all Secrets of the namespace with these labels.'),
    components: z
      .array(component)
      .max(16)
      .optional()
      .describe(
        'What a signature must cover at least: headers, and parts of the request. The path is the normalised one. Default: @method, @authority, @path, @query.',
      ),
    body: z
      .enum(['Verified', 'Ignored'])
      .default('Verified')
      .describe(
        'Verified: the signature of a request with a body must cover content-digest (RFC 9530), and the body must match it; the gateway reads it whole before it forwards anything. Ignored: bodies pass unseen.',
      ),
    maxBodyBytes: integer(1, 67_108_864)
      .default(1_048_576)
      .describe('Longest body that is read so; a longer one is answered 413.'),
    maxAge: duration(
      'How old a signature may be, by its parameter created, which it must have. Default 5m.',
    ).optional(),
    clockSkew: duration('How far the clock of a signer may be off. Default 10s.').optional(),
    tag: withRules(z.string().min(1).max(256), {
      cel: "self.matches('^[ !#-\\\\[\\\\]-~]+$')",
      message: 'must be printable ASCII without quotation marks and backslashes',
      test: (value) => /^[ !#-[\]-~]+$/.test(value),
    })
      .optional()
      .describe('Only signatures with this tag count.'),
    nonce: z
      .enum(['Required', 'Checked', 'Ignored'])
      .default('Checked')
      .describe(
        'Required: a signature must have a nonce, which is accepted once. Checked: a nonce, where there is one, is accepted once. Ignored: a request may be repeated as long as its signature is not too old.',
      ),
    nonceStore: z
      .enum(['Memory', 'Redis'])
      .default('Memory')
      .describe(
        'Where nonces are remembered. Memory: each pod remembers its own (some 130,000; beyond that, 503), so that a request may be repeated once at every pod. Redis: all pods together; while Redis is away, signed requests with a nonce are answered 503.',
      ),
    keepCredential,
  }),
  atLeastOneOf('secretRefs', 'secretSelector'),
).meta({ description: 'The request is signed with a key that names its consumer (RFC 9421).' });
export type SignatureSpec = z.output<typeof signature>;
