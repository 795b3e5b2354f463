/** Nonces are accepted once: as long as their signature would be, they are remembered (RFC 9421 section 7.2.2). */
import { createHash } from 'node:crypto';
import type { MethodConfig } from '../../../snapshot/sections/authentication.ts';
import type { StageContext } from '../../context.ts';
import { StageError } from '../../stage-error.ts';

/** `gone`: the store can't tell. */
export type NonceVerdict = 'new' | 'seen' | 'full' | 'gone';

/** `untilMs` and what the context's clock says are ms since the epoch. */
export type Remember = (keyId: string, nonce: string, untilMs: number) => NonceVerdict | Promise<NonceVerdict>;

const REDIS_TIMEOUT_MS = 500;
const PREFIX = 'tidegate:nonce:';

/** Throws StageError where the store is not there. */
export function createNonces(config: MethodConfig<'signature'>, context: StageContext, field: string): Remember {
  const { policy, services, epochMs } = context;
  if (config.nonceStore === 'memory') {
    const { nonces } = services;
    return (keyId, nonce, untilMs) =>
      nonces.remember(hash(policy, keyId, nonce), Math.ceil(untilMs / 1000), Math.floor(epochMs() / 1000));
  }
  const { redis } = services;
  if (redis === null) throw new StageError(`${field}.nonceStore`, 'this data plane has no Redis (TIDEGATE_REDIS_URL)');
  redis.open();
  return async (keyId, nonce, untilMs) => {
    const key = PREFIX + hash(policy, keyId, nonce).toString('base64url');
    const leftMs = Math.max(1, Math.ceil(untilMs - epochMs()));
    try {
      const answer = await redis.command('SET', [key, '1', 'NX', 'PX', leftMs], REDIS_TIMEOUT_MS);
      return answer === null ? 'seen' : 'new';
    } catch {
      return 'gone';
    }
  };
}

function hash(policy: string, keyId: string, nonce: string): Buffer {
  return createHash('sha256').update(`${policy}\0${keyId}\0${nonce}`).digest();
}
