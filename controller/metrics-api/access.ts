/** Who calls, and whether they may: asked of the API server, remembered for seconds. Any doubt is a no. */
import { createHash } from 'node:crypto';
import type { ApiServer } from '../api-server.ts';
import type { Clock } from '../clock.ts';
import { describeError } from '../errors.ts';
import type { Log } from '../log.ts';
import { parseRequestHeaderConfig, type RequestHeaderConfig, type User } from './request-header.ts';
import { TtlCache } from './ttl-cache.ts';

/** What is asked for, in the API server's terms. */
export type Attributes =
  | {
      readonly kind: 'resource';
      readonly namespace: string;
      readonly resource: string;
      readonly subresource: string;
      readonly name: string;
    }
  | { readonly kind: 'path'; readonly path: string };

export interface AccessOptions {
  readonly api: ApiServer;
  readonly group: string;
  readonly version: string;
  readonly clock: Clock;
  readonly log: Log;
  /** The authority that signs the front proxy's certificate was read, first or anew. */
  readonly onConfig: (config: RequestHeaderConfig) => void;
}

const CONFIG_PATH = '/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication';
const CONFIG_EVERY_MS = 60_000;
const CONFIG_RETRY_MS = 2_000;
/** As delegated authentication and authorization in Kubernetes' own aggregated servers. */
const REMEMBER_MS = 10_000;
const MAX_REMEMBERED = 1_000;
const TIMEOUT_MS = 10_000;

interface TokenReview {
  readonly status?: {
    readonly authenticated?: boolean;
    readonly user?: {
      readonly username?: string;
      readonly uid?: string;
      readonly groups?: readonly string[];
      readonly extra?: Record<string, readonly string[]>;
    };
  };
}

export class Access {
  readonly #options: AccessOptions;
  readonly #tokens: TtlCache<User | null>;
  readonly #decisions: TtlCache<boolean>;
  #config: RequestHeaderConfig | null = null;
  #cancel: () => void = () => {};
  #stopped = false;

  constructor(options: AccessOptions) {
    this.#options = options;
    this.#tokens = new TtlCache(options.clock, REMEMBER_MS, MAX_REMEMBERED);
    this.#decisions = new TtlCache(options.clock, REMEMBER_MS, MAX_REMEMBERED);
  }

  /** Null until it was read: then nobody is let in by headers. */
  get config(): RequestHeaderConfig | null {
    return this.#config;
  }

  /** Reads the ConfigMap now and from then on; the first reading may fail and is tried again. */
  async start(): Promise<void> {
    await this.#refresh();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel();
  }

  /** Null when the token is nobody's. Throws when the API server can't be asked. */
  userOfToken(token: string): Promise<User | null> {
    // The token itself is not kept.
    const key = createHash('sha256').update(token).digest('base64');
    return this.#tokens.get(key, async () => {
      const review = await this.#options.api.request<TokenReview>({
        method: 'POST',
        path: '/apis/authentication.k8s.io/v1/tokenreviews',
        body: { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token } },
        timeoutMs: TIMEOUT_MS,
      });
      const { authenticated, user } = review.status ?? {};
      if (authenticated !== true || user?.username === undefined || user.username === '') return null;
      return { name: user.username, uid: user.uid ?? '', groups: user.groups ?? [], extra: user.extra ?? {} };
    });
  }

  /** Throws when the API server can't be asked. */
  allowed(user: User, attributes: Attributes): Promise<boolean> {
    const { group, version } = this.#options;
    const spec = {
      user: user.name,
      uid: user.uid,
      groups: user.groups,
      extra: user.extra,
      ...(attributes.kind === 'path'
        ? { nonResourceAttributes: { path: attributes.path, verb: 'get' } }
        : {
            resourceAttributes: {
              verb: 'get',
              group,
              version,
              namespace: attributes.namespace,
              resource: attributes.resource,
              subresource: attributes.subresource,
              name: attributes.name,
            },
          }),
    };
    return this.#decisions.get(JSON.stringify(spec), async () => {
      const review = await this.#options.api.request<{ status?: { allowed?: boolean; denied?: boolean } }>({
        method: 'POST',
        path: '/apis/authorization.k8s.io/v1/subjectaccessreviews',
        body: { apiVersion: 'authorization.k8s.io/v1', kind: 'SubjectAccessReview', spec },
        timeoutMs: TIMEOUT_MS,
      });
      return review.status?.allowed === true && review.status.denied !== true;
    });
  }

  async #refresh(): Promise<void> {
    const { api, clock, log, onConfig } = this.#options;
    try {
      const map = await api.request<{ data?: Record<string, string> }>({ path: CONFIG_PATH, timeoutMs: TIMEOUT_MS });
      const config = parseRequestHeaderConfig(map.data);
      if (config === null)
        log.warn('extension-apiserver-authentication names no request-header authority: only tokens are taken');
      if (config !== null && JSON.stringify(config) !== JSON.stringify(this.#config)) onConfig(config);
      this.#config = config;
    } catch (error) {
      log.warn({ error: describeError(error) }, 'extension-apiserver-authentication could not be read');
    }
    if (this.#stopped) return;
    this.#cancel = clock.after(this.#config === null ? CONFIG_RETRY_MS : CONFIG_EVERY_MS, () => void this.#refresh());
  }
}
