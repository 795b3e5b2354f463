/** Sessions in Redis: shared by all data planes, and there after a restart of any. */
import type { Redis } from '../redis/redis.ts';
import type { SessionStore } from './session-store.ts';

const SESSION = 'tidegate:session:';
const CLAIM = 'tidegate:session-claim:';

export class RedisSessions implements SessionStore {
  readonly #redis: Redis;
  readonly #timeoutMs: number;

  constructor(redis: Redis, timeoutMs: number) {
    this.#redis = redis;
    this.#timeoutMs = timeoutMs;
  }

  async get(id: string): Promise<string | null> {
    const answer = await this.#redis.command('get', [SESSION + id], this.#timeoutMs);
    return answer === null ? null : String(answer);
  }

  async set(id: string, value: string, ttlMs: number): Promise<void> {
    await this.#redis.command('set', [SESSION + id, value, 'PX', Math.max(1, Math.ceil(ttlMs))], this.#timeoutMs);
  }

  async delete(id: string): Promise<void> {
    await this.#redis.command('del', [SESSION + id], this.#timeoutMs);
  }

  async claim(id: string, ttlMs: number): Promise<boolean> {
    const args = [CLAIM + id, '', 'PX', Math.max(1, Math.ceil(ttlMs)), 'NX'];
    return (await this.#redis.command('set', args, this.#timeoutMs)) !== null;
  }
}
