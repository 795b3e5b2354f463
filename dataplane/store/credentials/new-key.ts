/** API keys: made here, shown once, kept as their SHA-256 only. */
import { hash, randomBytes } from 'node:crypto';

/** Names what it is, so that scanners of repositories and logs find one that leaked. */
const PREFIX = 'tgk_';

/** 256 random bits, 47 characters. */
export function newKey(): string {
  return PREFIX + randomBytes(32).toString('base64url');
}

/** As the store knows a key. Keys are random: one round is enough. */
export function hashOfKey(key: string): string {
  return hash('sha256', key);
}
