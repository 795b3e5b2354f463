/**
 * ns and garbage a request in the stages of access that verify or decide by themselves: authorization, message signatures, CORS, a remembered yes of
 * forward-auth: `node --conditions=source dataplane/bench/access.ts`. Tokens: tokens.ts; limits: limit.ts.
 */
import { constants, createHmac, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Stage } from '../pipeline/chain.ts';
import { Exchange } from '../pipeline/exchange.ts';
import { Headers } from '../pipeline/headers.ts';
import type { Identity } from '../pipeline/identity.ts';
import { MemoryDownstream } from '../pipeline/memory-downstream.ts';
import { credentialsResource } from '../snapshot/credentials.ts';
import { authenticationSection } from '../snapshot/sections/authentication.ts';
import { authorizationSection } from '../snapshot/sections/authorization.ts';
import { corsSection } from '../snapshot/sections/cors.ts';
import type { SignatureAlgorithm } from '../snapshot/signature-algorithms.ts';
import { loadMethods } from '../stages/authentication/methods.ts';
import { createAuthentication } from '../stages/authentication/stage.ts';
import { loadExpressions } from '../stages/authorization/expressions.ts';
import { createAuthorization } from '../stages/authorization/stage.ts';
import { type ContextParts, contextFixture } from '../stages/context.fixture.ts';
import { createCors } from '../stages/cors.ts';
import { measure, report } from './measure.ts';

const BATCH = 256;
const BATCHES = 400;
const downstream = new MemoryDownstream();
const identity: Identity = {
  consumer: 'acme',
  groups: ['gold', 'partners', 'staff'],
  scopes: ['orders:read', 'orders:list'],
  claims: { tier: 'gold', realm_access: { roles: ['dev', 'admin'] } },
  method: 'jwt',
};

function exchange(fields: readonly string[] = []): Exchange {
  const all = ['host', 'x', 'user-agent', 'bench/1.0', 'accept', '*/*', 'x-tenant', 'acme', ...fields];
  const made = new Exchange(
    ...(['GET', '/orders/42', 'page=2', 'api.example.com', 'api.example.com', 'http', 'HTTP/1.1'] as const),
    ...([new Headers(all), '192.0.2.7', downstream, 0] as const),
  );
  made.identity = identity;
  return made;
}

/** `make` is not timed. */
function bench(name: string, stage: Stage, make: (i: number) => Exchange, batches = BATCHES, batch = BATCH): void {
  const { onRequest } = stage;
  if (onRequest === undefined) throw new Error('a stage without a handler');
  let made: Exchange[] = [];
  const prepare = () => {
    made = Array.from({ length: batch }, (_, i) => make(i));
  };
  prepare();
  if (onRequest(made[0] as Exchange) !== undefined) throw new Error(`${name}: refused, or waits`);
  const run = (i: number) => {
    if (onRequest(made[i] as Exchange) !== undefined) throw new Error(`${name}: refused, or waits`);
    return i;
  };
  report(name, measure(run, batch, batches, prepare));
}

await loadExpressions();
const authorize = (rules: object[]): Stage =>
  createAuthorization(
    authorizationSection.parse({
      section: 'authorization',
      default: 'deny',
      rules: rules.map((rule, i) => ({ name: `r${i}`, action: 'allow', ...rule })),
    }),
    contextFixture({ epochMs: Date.now }),
  );
const never = Array.from({ length: 9 }, (_, i) => ({ consumers: [`nobody-${i}`] }));
const rules: [string, object[]][] = [
  ['group', [{ groups: ['bronze', 'silver', 'gold'] }]],
  ['the tenth of ten rules, each on a consumer', [...never, { consumers: ['acme'] }]],
  [
    'method, path prefix and two scopes',
    [
      {
        methods: ['GET', 'HEAD'],
        paths: [{ kind: 'prefix', value: '/orders' }],
        scopes: ['orders:read', 'orders:list'],
      },
    ],
  ],
  ['claim in a list in an object', [{ claims: [{ name: 'realm_access.roles', values: ['admin'] }] }]],
  ['address in one of 32 blocks', [{ addresses: [...blocks(31), '192.0.2.0/24'] }]],
  ['time of the week', [{ times: [{ days: [0, 1, 2, 3, 4, 5, 6], from: 0, to: 1440, timezone: 'Europe/Berlin' }] }]],
  ['CEL: "gold" in auth.groups', [{ cel: '"gold" in auth.groups' }]],
  ['CEL: path and claim', [{ cel: 'request.path.startsWith("/orders/") && auth.claims.tier == "gold"' }]],
  [
    'CEL: header, list, pattern',
    [
      {
        cel: 'request.headers["x-tenant"] == auth.consumer && auth.scopes.exists(s, s == "orders:list") && request.path.matches("^/orders/[0-9]+$")',
      },
    ],
  ],
];
for (const [name, list] of rules) bench(`authorization: ${name}`, authorize(list), () => exchange());

function blocks(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `10.${i}.0.0/16`);
}

const cors = createCors(
  corsSection.parse({ section: 'cors', allowOrigins: ['https://app.example', 'https://*.example.com'] }),
);
const whole: Stage = {
  name: 'cors',
  onRequest(one) {
    cors.onRequest?.(one);
    one.responseHeaders = new Headers(['content-type', 'application/json', 'server', 'backend', 'etag', '"1"']);
    cors.onResponse?.(one);
    return undefined;
  },
};
bench('cors: no Origin', whole, () => exchange());
bench('cors: an exact origin', whole, () => exchange(['origin', 'https://app.example']));
bench('cors: a sub-domain', whole, () => exchange(['origin', 'https://a.b.example.com']));

await loadMethods(['signature', 'forward']);
const authenticate = (method: object, parts: ContextParts = {}): Stage => {
  const methods = [{ name: 'm', ...method }];
  const config = authenticationSection.parse({ section: 'authentication', methods, anyOf: [['m']] });
  return createAuthentication(config, contextFixture({ epochMs: Date.now, ...parts }));
};

const COVERED = '("@method" "@authority" "@path" "@query")';
const LINES = '"@method": GET\n"@authority": api.example.com\n"@path": /orders/42\n"@query": ?page=2\n';
type Sign = (base: Buffer) => Buffer;

function signatures(algorithm: SignatureAlgorithm, key: string, signed: Sign): void {
  const keys = [{ keyId: 'k', algorithm, key, consumer: 'acme' }];
  const id = 'credentials/a/b/c/signature';
  const consumers = [
    credentialsResource.parse({ kind: 'credentials', id, source: 'a/c', entries: { type: 'signature', keys } }),
  ];
  const components = ['@method', '@authority', '@path', '@query'];
  const common = { kind: 'signature', credentials: [id], components, maxBodyBytes: 1_048_576, skewMs: 10_000 };
  for (const nonce of ['ignored', 'required']) {
    const method = { ...common, maxAgeMs: 300_000, nonce, nonceStore: 'memory' };
    const made = () => {
      const created = Math.floor(Date.now() / 1000);
      const unique = nonce === 'required' ? `;nonce="${randomBytes(12).toString('base64url')}"` : '';
      const parameters = `${COVERED};created=${created};keyid="k"${unique}`;
      const value = signed(Buffer.from(`${LINES}"@signature-params": ${parameters}`)).toString('base64');
      return exchange(['signature-input', `s=${parameters}`, 'signature', `s=:${value}:`]);
    };
    // Few enough for the memory of nonces.
    bench(`signature: ${algorithm}, nonce ${nonce}`, authenticate(method, { consumers }), made, 40, 64);
  }
}

function pem(key: KeyObject): string {
  return key.export({ type: 'spki', format: 'pem' }).toString();
}
const secret = randomBytes(32).toString('base64');
signatures('hmac-sha256', secret, (base) => createHmac('sha256', Buffer.from(secret, 'base64')).update(base).digest());
const ed = generateKeyPairSync('ed25519');
signatures('ed25519', pem(ed.publicKey), (base) => sign(null, base, ed.privateKey));
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
signatures('ecdsa-p256-sha256', pem(ec.publicKey), (base) =>
  sign('sha256', base, { key: ec.privateKey, dsaEncoding: 'ieee-p1363' }),
);
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const padding = constants.RSA_PKCS1_PSS_PADDING;
signatures('rsa-pss-sha512', pem(rsa.publicKey), (base) =>
  sign('sha512', base, { key: rsa.privateKey, padding, saltLength: 64 }),
);

const server = http.createServer((_request, response) => response.writeHead(200, { 'x-consumer': 'acme' }).end());
server.listen(0, '127.0.0.1');
await new Promise((resolve) => server.once('listening', resolve));
const common = { requestHeaders: ['authorization', 'cookie'], consumerHeader: 'x-consumer', groupsHeader: 'x-groups' };
const forward = authenticate({
  ...{ kind: 'forward', url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, timeoutMs: 2_000 },
  ...{ ...common, copyHeaders: [], cacheMs: 3_600_000, cacheHeaders: ['authorization'], cacheScope: 'request' },
});
const credential = ['authorization', 'Bearer 0123456789abcdef'];
await forward.onRequest?.(exchange(credential));
bench('forward-auth: a remembered yes', forward, () => exchange(credential));
process.exit(0);
