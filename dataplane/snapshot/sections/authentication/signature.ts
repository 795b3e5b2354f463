/** HTTP message signatures (RFC 9421): the request itself is signed with a key that names its consumer. */
import { z } from 'zod';
import { durationMs, id } from '../../primitives.ts';
import { methodBase } from './source.ts';

export const signatureMethod = z.strictObject({
  kind: z.literal('signature'),
  ...methodBase,
  /** Ids of credentials resources of type signature. */
  credentials: z.array(id).max(64),
  /** What a signature must cover at least: names of derived components and of fields, without parameters. */
  components: z.array(z.string().min(1).max(256)).max(32),
  /**
   * A request with a body must have its content-digest (RFC 9530) covered, and the body must match. The body is read whole before anything
   * of the request is forwarded, at most this many bytes. 0: bodies are not looked at.
   */
  maxBodyBytes: z.int().min(0).max(67_108_864),
  /** Age a signature may have, by its `created`. */
  maxAgeMs: durationMs.min(1000),
  /** How far the clock of a signer may be off. */
  skewMs: durationMs,
  /** Only signatures with this tag count. */
  tag: z.string().min(1).max(256).optional(),
  /** `required`: one without a nonce is refused. `checked`: a nonce is accepted once. `ignored`: within its age a request may be repeated. */
  nonce: z.enum(['required', 'checked', 'ignored']),
  /** Where nonces are remembered: `memory` is that of one data plane, `redis` is shared by all. */
  nonceStore: z.enum(['memory', 'redis']),
});
