/** Starts the identity provider, and gets tokens of it. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { freePorts } from '../../bench/ports.ts';
import type { ProcessComponent } from '../../components/component.ts';
import { LocalProgram, programDirectory } from '../../components/local-program.ts';

const CLIENT = { id: 'gateway', secret: 'a-secret-of-a-test' };
const KEY_ID = 'key-1';

export interface Provider {
  readonly component: ProcessComponent;
  readonly issuer: string;
  readonly client: typeof CLIENT;
  /** Signed here, with a key that the provider publishes; never the same twice. */
  sign(): Promise<string>;
  /** Opaque, of the provider, which must be up; it forgets its tokens when it ends. */
  opaqueToken(): Promise<string>;
}

export async function startProvider(): Promise<Provider> {
  const [port = 0] = await freePorts(1);
  const directory = programDirectory('idp');
  const { privateKey } = await generateKeyPair('ES256', { extractable: true });
  const jwks = join(directory, 'jwks.json');
  const key = { ...(await exportJWK(privateKey)), kid: KEY_ID, alg: 'ES256', use: 'sig' };
  writeFileSync(jwks, JSON.stringify({ keys: [key] }), { mode: 0o600 });
  const program = new LocalProgram({
    name: 'identity provider',
    command: process.execPath,
    args: [join(import.meta.dirname, 'program.ts')],
    directory,
    port,
    greet: 'GET /jwks HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n',
    env: { PORT: String(port), JWKS_FILE: jwks, CLIENT_ID: CLIENT.id, CLIENT_SECRET: CLIENT.secret },
  });
  await program.start();
  const issuer = `http://127.0.0.1:${port}`;
  let serial = 0;
  return {
    component: program.asComponent('identity provider', issuer),
    issuer,
    client: CLIENT,
    sign: () =>
      new SignJWT({ sub: 'alice', jti: String(serial++) })
        .setProtectedHeader({ alg: 'ES256', kid: KEY_ID })
        .setIssuer(issuer)
        .setExpirationTime('1h')
        .sign(privateKey),
    async opaqueToken() {
      const answer = await fetch(`${issuer}/token`, {
        method: 'POST',
        body: new URLSearchParams({ grant_type: 'client_credentials' }),
        headers: { authorization: `Basic ${Buffer.from(`${CLIENT.id}:${CLIENT.secret}`).toString('base64')}` },
      });
      const { access_token: token } = (await answer.json()) as { access_token?: string };
      if (token === undefined) throw new Error(`the provider gives no token: ${answer.status}`);
      return token;
    },
  };
}
