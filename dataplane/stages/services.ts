/**
 * What stages may use from outside the process's own hot path: stores, other servers, what workers share. A worker makes them once
 * (worker/services.ts); what costs memory or a connection is loaded when a stage first asks for it.
 */
import type { LimitStores } from '../limit/stores.ts';
import type { Outbound } from '../outbound/outbound.ts';
import type { PasswordChecker } from '../passwords/checker.ts';
import type { Overload } from '../shedding/overload.ts';
import type { Credentials } from '../store/credentials/credentials.ts';
import type { Redis } from '../store/redis/redis.ts';
import type { SessionStore } from '../store/sessions/session-store.ts';
import type { SharedNonces } from '../store/shared-nonces.ts';

export interface Services {
  /** Null: none is configured (TIDEGATE_CREDENTIALS). */
  readonly credentials: Credentials | null;
  /** Requests to identity providers and authorizers. */
  readonly http: Outbound;
  readonly limits: LimitStores;
  /** Of this worker. */
  readonly overload: Overload;
  /** Verifies passwords off the event loop, and remembers. */
  readonly passwords: PasswordChecker;
  /** Nonces of signed requests that any worker of the process has seen. */
  readonly nonces: SharedNonces;
  /** Null: none is configured (TIDEGATE_REDIS_URL). */
  readonly redis: Redis | null;
  /** Of people who have logged in. Memory is this data plane's, shared by its workers; Redis is all data planes'. */
  readonly sessions: { readonly memory: SessionStore; readonly redis: SessionStore | null };
}
