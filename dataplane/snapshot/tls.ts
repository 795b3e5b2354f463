/** What TLS needs: certificates, the CAs that are trusted, and which host shows what. Keys are shown nowhere: messages and /debug/config name ids. */
import { z } from 'zod';
import { id } from './primitives.ts';

/** A Kubernetes Secret of type kubernetes.io/tls, of the one object that refers to it: it comes and goes with it. */
export const certificateResource = z.strictObject({
  kind: z.literal('certificate'),
  /** `certificate/<kind of the owner>/<namespace>/<owner>/<secret>` */
  id,
  /** PEM, the leaf first. */
  chain: z.string().min(1).max(131_072),
  /** PEM. */
  key: z.string().min(1).max(131_072),
});
export type CertificateResource = z.infer<typeof certificateResource>;

/** CAs that are trusted for one purpose. */
export const trustResource = z.strictObject({
  kind: z.literal('trust'),
  /** `trust/<kind of the owner>/<namespace>/<owner>/<secret>` */
  id,
  /** PEM, one or more. */
  authorities: z.string().min(1).max(262_144),
});
export type TrustResource = z.infer<typeof trustResource>;

/** What a Route's hosts do with TLS. */
export const tlsResource = z.strictObject({
  kind: z.literal('tls'),
  /** `tls/<namespace>/<route>` */
  id,
  /** As of a rule: exact, `*.suffix`, or `*`. Of two resources for one host the older wins, then the id that sorts first. */
  hosts: z.array(z.string().min(1)).min(1),
  createdAtMs: z.int(),
  action: z.discriminatedUnion('kind', [
    z.strictObject({
      kind: z.literal('terminate'),
      /** Id of a certificate. */
      certificate: id,
      clientCertificate: z
        .strictObject({
          /** optional: none may be shown, a wrong one may not. */
          mode: z.enum(['optional', 'required']),
          /** Id of a trust. */
          trust: id,
        })
        .optional(),
    }),
    /** Bytes go to the backend as they are, by the server name alone. */
    z.strictObject({ kind: z.literal('passthrough'), backend: id }),
    /** A handshake for these hosts is refused (alert): a Secret is missing or broken. */
    z.strictObject({
      kind: z.literal('fail'),
      message: z.string(),
      /** Clients were to show a certificate: the hosts are not served without TLS either. */
      requiresCertificate: z.literal(true).optional(),
    }),
  ]),
});
export type TlsResource = z.infer<typeof tlsResource>;
