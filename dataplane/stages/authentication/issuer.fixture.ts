/** An issuer of tokens for tests: keys of its own, and a key set on a real server that can be silent, gone and back. */
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose';

type PrivateKey = Awaited<ReturnType<typeof generateKeyPair>>['privateKey'];

export interface SigningKey {
  readonly kid: string;
  readonly alg: string;
  readonly privateKey: PrivateKey;
  readonly jwk: JWK;
}

export async function signingKey(kid: string, alg = 'ES256'): Promise<SigningKey> {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
  return { kid, alg, privateKey, jwk: { ...(await exportJWK(publicKey)), kid } };
}

/** `claims` over: sub alice, iss https://issuer.test, aud shop, exp in an hour. Undefined takes one away. */
export function sign(
  key: SigningKey,
  claims: Record<string, unknown> = {},
  header: Record<string, unknown> = {},
): Promise<string> {
  const now = Math.floor(Date.now() / 1000);
  const all = { sub: 'alice', iss: 'https://issuer.test', aud: 'shop', exp: now + 3600, iat: now, ...claims };
  const given = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
  return new SignJWT(given).setProtectedHeader({ alg: key.alg, kid: key.kid, ...header }).sign(key.privateKey);
}

export class Issuer {
  keys: SigningKey[];
  /** Of the key set. */
  requests = 0;
  /** Takes requests and never answers. */
  silent = false;
  /** Instead of the key set. */
  answer: ((response: http.ServerResponse) => void) | null = null;
  #server: http.Server | null = null;
  readonly #sockets = new Set<Socket>();
  #port = 0;

  constructor(...keys: SigningKey[]) {
    this.keys = keys;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}/keys`;
  }

  get jwks(): string {
    return JSON.stringify({ keys: this.keys.map(({ jwk }) => jwk) });
  }

  /** On the port it had before, where it had one. */
  async start(): Promise<this> {
    const server = http.createServer((_request, response) => {
      this.requests++;
      if (this.silent) return;
      if (this.answer !== null) this.answer(response);
      else response.setHeader('content-type', 'application/json').end(this.jwks);
    });
    server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
    server.listen(this.#port, '127.0.0.1');
    await once(server, 'listening');
    this.#port = (server.address() as AddressInfo).port;
    this.#server = server;
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
}
