/**
 * What a policy knows of secrets. Each resource belongs to the one policy that refers to it and carries its name in its id, so that it comes
 * and goes with it. Values are shown nowhere: /debug/config and messages name ids.
 */
import { z } from 'zod';
import { MAX_PASSWORD_HASH } from './password-hash.ts';
import { id } from './primitives.ts';
import { SIGNATURE_ALGORITHMS } from './signature-algorithms.ts';

/** One value of a Kubernetes Secret: a client secret, a cookie key. */
export const secretResource = z.strictObject({
  kind: z.literal('secret'),
  /** `secret/<namespace>/<policy>/<secret>/<key>` */
  id,
  /** Base64. */
  value: z.string().max(131_072),
});
export type SecretResource = z.infer<typeof secretResource>;

const consumer = {
  /** Who it is: the name that limits, rules and backends see. */
  consumer: z.string().min(1).max(253),
  groups: z.array(z.string().min(1).max(253)).max(64).default([]),
};

/** Credentials of consumers, from one Kubernetes Secret. */
export const credentialsResource = z.strictObject({
  kind: z.literal('credentials'),
  /** `credentials/<namespace>/<policy>/<secret>/<type>` */
  id,
  /** `<namespace>/<name>` of the Secret. */
  source: z.string(),
  entries: z.discriminatedUnion('type', [
    z.strictObject({
      type: z.literal('apiKey'),
      /** `hash`: SHA-256 of the key, hex. Keys are random, so one round is enough and a lookup leaks nothing of them. */
      keys: z.array(z.strictObject({ hash: z.string().regex(/^[0-9a-f]{64}$/), ...consumer })),
    }),
    z.strictObject({
      type: z.literal('basic'),
      /** `hash`: as readPasswordHash takes it. The consumer is the user. */
      users: z.array(z.strictObject({ hash: z.string().min(1).max(MAX_PASSWORD_HASH), ...consumer })),
    }),
    z.strictObject({
      type: z.literal('signature'),
      keys: z.array(
        z.strictObject({
          keyId: z.string().min(1).max(256),
          algorithm: z.enum(SIGNATURE_ALGORITHMS),
          /** The public key as PEM (SPKI); of hmac-sha256 the secret in base64. */
          key: z.string().min(1).max(16_384),
          ...consumer,
        }),
      ),
    }),
  ]),
});
export type CredentialsResource = z.infer<typeof credentialsResource>;
export type CredentialEntries = CredentialsResource['entries'];
