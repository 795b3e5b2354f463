/** A real identity provider for tests (npm oidc-provider) on 127.0.0.1, which a test may stop, silence, start again and give other keys. */
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { exportJWK, generateKeyPair, type JWK } from 'jose';
import Provider, { type Configuration } from 'oidc-provider';

export const CLIENT = { id: 'tidegate', secret: 'a secret: with 100% + more' };

export interface ProviderSettings {
  /** Where logins come back to, and logouts. */
  readonly redirectUris?: readonly string[];
  readonly logoutUris?: readonly string[];
  /** s */
  readonly accessTokenTtl?: number;
  /** Of everybody. */
  readonly groups?: readonly string[];
  /** How the client must show its secret. */
  readonly authentication?: 'basic' | 'post';
}

export class IdentityProvider {
  readonly #settings: ProviderSettings;
  readonly #sockets = new Set<Socket>();
  readonly #keys: JWK[] = [];
  #server: http.Server | null = null;
  #provider: Provider | null = null;
  #port = 0;
  /** Paths that were asked for. */
  readonly asked: string[] = [];
  /** Takes requests and never answers. */
  silent = false;
  /** Answers with 503. */
  failing = false;
  /** What requests for tokens wait for. */
  held: Promise<void> | null = null;
  /** Who logs in next. */
  account = 'alice';

  constructor(settings: ProviderSettings = {}) {
    this.#settings = settings;
  }

  get issuer(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  get introspectionUrl(): string {
    return `${this.issuer}/token/introspection`;
  }

  get #authentication(): 'basic' | 'post' {
    return this.#settings.authentication ?? 'basic';
  }

  count(path: string): number {
    return this.asked.filter((one) => one === path).length;
  }

  /** On the port it had before, where it had one; what it issued before is still good. */
  async start(): Promise<this> {
    const server = http.createServer((request, response) => this.#serve(request, response));
    server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
    server.listen(this.#port, '127.0.0.1');
    await once(server, 'listening');
    this.#port = (server.address() as AddressInfo).port;
    this.#server = server;
    if (this.#provider === null) await this.rotateKeys();
    return this;
  }

  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    if (server === null) return;
    for (const socket of this.#sockets) socket.destroy();
    server.close();
    await once(server, 'close');
  }

  /** Signs with a new key from now on; `keep`: the one before stays in the key set. */
  async rotateKeys(keep = false): Promise<void> {
    const { privateKey } = await generateKeyPair('RS256', { extractable: true });
    const key = { ...(await exportJWK(privateKey)), use: 'sig', alg: 'RS256' };
    this.#keys.splice(0, this.#keys.length, key, ...(keep ? this.#keys.slice(0, 1) : []));
    this.#provider = new Provider(this.issuer, this.#configuration());
    this.#provider.on('server_error', (_context, error) => console.error(error));
  }

  /** An opaque access token by client credentials (RFC 6749 section 4.4). */
  async accessToken(scope = 'read write'): Promise<string> {
    const answer = await this.#post('/token', { grant_type: 'client_credentials', scope });
    return (answer as { access_token: string }).access_token;
  }

  async revoke(token: string): Promise<void> {
    await this.#post('/token/revocation', { token });
  }

  async #post(path: string, form: Record<string, string>): Promise<unknown> {
    const encoded = [CLIENT.id, CLIENT.secret].map((part) => encodeURIComponent(part)).join(':');
    const basic = this.#authentication === 'basic';
    const response = await fetch(this.issuer + path, {
      method: 'POST',
      body: new URLSearchParams({ ...form, ...(!basic && { client_id: CLIENT.id, client_secret: CLIENT.secret }) }),
      headers: basic ? { authorization: `Basic ${Buffer.from(encoded).toString('base64')}` } : {},
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${path}: ${response.status} ${text}`);
    return text === '' ? null : JSON.parse(text);
  }

  #serve(request: http.IncomingMessage, response: http.ServerResponse): void {
    const { pathname } = new URL(request.url ?? '/', this.issuer);
    this.asked.push(pathname);
    if (this.silent) return;
    if (this.failing) {
      response.writeHead(503).end();
      return;
    }
    const provider = this.#provider as Provider;
    if (pathname.startsWith('/interaction/')) {
      // Whoever comes is let in: what a person would type is not what is tested.
      const login = { accountId: this.account };
      void provider.interactionFinished(request, response, { login }, { mergeWithLastSubmission: false });
      return;
    }
    const answer = provider.callback();
    if (this.held === null || pathname !== '/token') void answer(request, response);
    else void this.held.then(() => answer(request, response));
  }

  #configuration(): Configuration {
    const {
      redirectUris = ['https://unused.test/'],
      logoutUris = [],
      accessTokenTtl = 3600,
      groups = ['staff', 'gold'],
    } = this.#settings;
    return {
      jwks: { keys: this.#keys as never },
      clients: [
        {
          client_id: CLIENT.id,
          client_secret: CLIENT.secret,
          grant_types: ['authorization_code', 'refresh_token', 'client_credentials'],
          redirect_uris: [...redirectUris],
          post_logout_redirect_uris: [...logoutUris],
          response_types: ['code'],
          token_endpoint_auth_method: `client_secret_${this.#authentication}`,
        },
      ],
      scopes: ['openid', 'offline_access', 'profile', 'read', 'write'],
      claims: { openid: ['sub'], profile: ['name', 'groups'] },
      conformIdTokenClaims: false,
      cookies: { keys: ['a key of a test'] },
      features: {
        devInteractions: { enabled: false },
        clientCredentials: { enabled: true },
        introspection: { enabled: true },
        revocation: { enabled: true },
        rpInitiatedLogout: { enabled: true },
      },
      interactions: { url: (_context, interaction) => `/interaction/${interaction.uid}` },
      findAccount: (_context, sub) => ({
        accountId: sub,
        claims: () => ({ sub, name: `${sub} of the test`, groups }),
      }),
      // Consent is given before anybody asks.
      loadExistingGrant: async (context) => {
        const { client, session, provider } = context.oidc;
        if (client === undefined || session?.accountId === undefined) return undefined;
        const grant = new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
        grant.addOIDCScope('openid offline_access profile read write');
        await grant.save();
        return grant;
      },
      issueRefreshToken: async () => true,
      rotateRefreshToken: true,
      ttl: {
        AccessToken: accessTokenTtl,
        ClientCredentials: accessTokenTtl,
        IdToken: accessTokenTtl,
        AuthorizationCode: 60,
        RefreshToken: 3600,
        Session: 3600,
        Interaction: 600,
        Grant: 3600,
      },
    };
  }
}
