import { hash } from 'node:crypto';

/** Begins every key of ours. */
const PREFIX = 'tidegate:limit:';

/**
 * The name under which Redis keeps one limit for one caller: `tidegate:limit:{group}:caller`, 22 + 22 characters of SHA-256 however long
 * the caller's name is, and no address or name in the clear (though who has Redis can try addresses out). Keys of one group lie in one slot
 * of a cluster, so that one script may use them together.
 */
export function limitKeys(group: string, scope: string): (caller: string) => string {
  const prefix = `${PREFIX}{${digest(group)}}:`;
  const scoped = `${scope.length}:${scope}`;
  return (caller) => prefix + digest(scoped + caller);
}

/** 128 bits, in 22 characters. */
function digest(text: string): string {
  return hash('sha256', text, 'base64url').slice(0, 22);
}
