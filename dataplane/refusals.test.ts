/**
 * The audit of refusals, of the whole program over real sockets: every 401, 403 and 429 has its reason in the access log and in the metric, and the
 * challenges the RFCs ask for; no credential is in the log (with queries in it), in /metrics or in /debug/config.
 */
import { createHash, createHmac, scryptSync } from 'node:crypto';
import http from 'node:http';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { credentialsResource } from './snapshot/credentials.ts';
import { matchFixture, respondFixture, ruleFixture } from './snapshot/fixtures.ts';
import { policySection, type Resource } from './snapshot/resources.ts';
import { sign, signingKey } from './stages/authentication/issuer.fixture.ts';
import { TestSnapshot } from './sync/test-controller.ts';
import { publish, Scene } from './test-scene.ts';

let scene: Scene;
beforeEach(() => {
  scene = new Scene();
});
afterEach(() => scene.end());

const KEY = 'good-key-0123456789abcdef';
const PASSWORD = 'good-password-9f8e7d';
const HMAC = Buffer.from('hmac-secret-0123456789abcdef-0123456789');
const CLIENT_SECRET = 'client-secret-4711';
const COOKIE_KEY = 'cookie-key-0123456789abcdef-0123456789';
/** What clients send and must be seen nowhere, whether it was right or wrong. */
const seenNowhere = new Set<string>([
  KEY,
  PASSWORD,
  HMAC.toString('base64'),
  CLIENT_SECRET,
  btoa(CLIENT_SECRET),
  COOKIE_KEY,
  btoa(COOKIE_KEY),
]);

function secret(text: string): string {
  seenNowhere.add(text);
  return text;
}

function policy(name: string, config: object): Resource {
  const parsed = policySection.parse(config);
  return { kind: 'policy', id: `policy/a/${name}/${parsed.section}`, source: `a/${name}`, config: parsed };
}

/** `/name` with these sections, each a policy of its own. */
function guarded(name: string, ...configs: object[]): Resource[] {
  const policies = configs.map((config) => policy(name, config));
  const matches = [matchFixture(`/${name}`)];
  const ids = policies.map(({ id }) => id);
  return [ruleFixture(`a/${name}/r`, { matches, action: respondFixture('passed'), policies: ids }), ...policies];
}

function credentials(type: string, entries: object): Resource {
  const id = `credentials/a/p/s/${type}`;
  return credentialsResource.parse({ kind: 'credentials', id, source: 'a/s', entries: { type, ...entries } });
}

function authentication(method: object, more: object = {}): object {
  const methods = [{ name: 'm', ...method }];
  return { section: 'authentication', methods, anyOf: [['m']], ...more };
}

const apiKey = {
  kind: 'apiKey',
  from: [
    { in: 'header', name: 'x-api-key' },
    { in: 'query', name: 'key' },
    { in: 'cookie', name: 'key' },
  ],
  credentials: ['credentials/a/p/s/apiKey'],
};
const authorization = (rules: object[], more: object = {}) => ({
  section: 'authorization',
  default: 'deny',
  rules: rules.map((rule, i) => ({ name: `r${i}`, action: 'allow', ...rule })),
  ...more,
});
const window = { name: 'w', algorithm: 'fixedWindow', limit: 1, windowMs: 3_600_000 };

async function snapshot(authorizer: string) {
  const key = await signingKey('k1');
  const jwt = {
    kind: 'jwt',
    from: [{ in: 'header', name: 'authorization', scheme: 'Bearer' }],
    keys: { source: 'inline', jwks: JSON.stringify({ keys: [key.jwk] }) },
    algorithms: ['ES256'],
    clockSkewMs: 0,
  };
  const salt = Buffer.alloc(16, 1);
  const digest = scryptSync(PASSWORD, salt, 32, { N: 16_384, r: 8, p: 1 });
  const plain = (bytes: Buffer) => bytes.toString('base64').replaceAll('=', '');
  const cors = { section: 'cors', allowOrigins: ['https://app.example'], allowCredentials: true };
  const resources = [
    credentials('apiKey', { keys: [{ hash: createHash('sha256').update(KEY).digest('hex'), consumer: 'acme' }] }),
    credentials('basic', {
      users: [{ hash: `$scrypt$ln=14,r=8,p=1$${plain(salt)}$${plain(digest)}`, consumer: 'ada' }],
    }),
    credentials('signature', {
      keys: [{ keyId: 'h', algorithm: 'hmac-sha256', key: HMAC.toString('base64'), consumer: 'signer' }],
    }),
    { kind: 'secret' as const, id: 'secret/a/p/client/secret', value: btoa(CLIENT_SECRET) },
    ...guarded('key', authentication(apiKey)),
    ...guarded('basic', authentication({ kind: 'basic', realm: 'shop', credentials: ['credentials/a/p/s/basic'] })),
    ...guarded('jwt', authentication(jwt)),
    ...guarded(
      'introspection',
      authentication({
        kind: 'introspection',
        from: jwt.from,
        url: `http://${authorizer}/introspect`,
        client: { id: 'gateway', secret: 'secret/a/p/client/secret', authentication: 'basic' },
        timeoutMs: 5_000,
        cacheMs: 0,
        inactiveCacheMs: 0,
      }),
    ),
    ...guarded(
      'signature',
      authentication({
        ...{ kind: 'signature', credentials: ['credentials/a/p/s/signature'], components: ['@method'] },
        ...{ maxBodyBytes: 0, maxAgeMs: 60_000, skewMs: 0, nonce: 'checked', nonceStore: 'memory' },
      }),
    ),
    ...guarded(
      'forward',
      authentication({
        ...{ kind: 'forward', url: `http://${authorizer}/ask`, timeoutMs: 5_000, requestHeaders: ['authorization'] },
        ...{ consumerHeader: 'x-consumer', groupsHeader: 'x-groups', copyHeaders: [] },
        ...{ cacheMs: 0, cacheHeaders: [], cacheScope: 'request' },
      }),
    ),
    { kind: 'secret' as const, id: 'secret/a/p/cookies/key', value: btoa(COOKIE_KEY) },
    ...guarded(
      'oidc',
      authentication({
        ...{ kind: 'oidc', issuer: `http://${authorizer}`, scopes: ['openid'], timeoutMs: 5_000, clockSkewMs: 0 },
        client: { id: 'gateway', secret: 'secret/a/p/client/secret', authentication: 'basic' },
        ...{ callbackPath: '/oidc/callback', logoutPath: '/oidc/logout', afterLogoutPath: '/' },
        session: { store: 'cookie', keys: ['secret/a/p/cookies/key'], cookieName: 'session', maxAgeMs: 3_600_000 },
      }),
    ),
    ...guarded('rule', authentication(apiKey), authorization([{ action: 'deny' }])),
    ...guarded('default', authentication(apiKey), authorization([{ groups: ['staff'] }])),
    ...guarded('scope', authentication(jwt), authorization([{ scopes: ['write'] }])),
    ...guarded('identity', authentication(jwt, { optional: true }), authorization([{ groups: ['staff'] }])),
    ...guarded('dry', authentication(apiKey), authorization([], { dryRun: true })),
    ...guarded('limit', { section: 'rateLimit', limits: [window] }),
    ...guarded('cors', cors, authentication(apiKey)),
  ];
  return { key, resources };
}

interface Case {
  readonly line: string;
  readonly fields?: Record<string, string | string[]>;
  readonly status: number;
  readonly code: string;
  /** Absent: there must be no challenge. */
  readonly challenge?: string;
}

function signature(base: string): Record<string, string> {
  const parameters = `("@method");created=${Math.floor(Date.now() / 1000)};keyid="h"`;
  const value = createHmac('sha256', HMAC).update(`${base}\n"@signature-params": ${parameters}`).digest('base64');
  return { 'signature-input': `s=${parameters}`, signature: `s=:${secret(value)}:` };
}

test('every refusal says why, to the client, the log and the metric; no credential is seen', async () => {
  const authorizer = await scene.backend((request, response) => {
    if (request.url === '/introspect') response.end('{"active":false}');
    else {
      const status = request.headers.authorization?.includes('slow') ? 429 : 403;
      response.writeHead(status, { 'retry-after': '3' }).end('no');
    }
  });
  const controller = await scene.controller();
  const dataplane = scene.dataplane(controller.address, { TIDEGATE_ACCESS_LOG_QUERY: 'true', TIDEGATE_WORKERS: '1' });
  const stream = await controller.streams.next();
  const { key, resources } = await snapshot(authorizer);
  await publish(stream, new TestSnapshot(resources));
  const ports = await dataplane.ready();

  const bearer = async (claims: Record<string, unknown> = {}) => ({
    authorization: `Bearer ${secret(await sign(key, claims))}`,
  });
  const keyed = { 'x-api-key': KEY };
  const preflight = { 'access-control-request-method': 'GET', 'access-control-request-headers': 'x-api-key' };
  const invalid = 'Bearer realm="tidegate", error="invalid_token", error_description=';
  const cases: Case[] = [
    { line: 'GET /key', status: 401, code: 'credentials-missing', challenge: 'ApiKey realm="tidegate"' },
    ...[
      { fields: { 'x-api-key': secret('wrong-key-in-header') } },
      { line: `GET /key?a=1&key=${secret('wrong-key-in-query')}` },
      { fields: { cookie: `key=${secret('wrong-key-in-cookie')}` } },
    ].map((more) => ({
      ...{ line: 'GET /key', status: 401, code: 'api-key-unknown', challenge: 'ApiKey realm="tidegate"' },
      ...more,
    })),
    ...[
      { code: 'credentials-missing' },
      { code: 'basic-unknown', fields: { authorization: `Basic ${secret(btoa(`ada:${secret('wrong-password')}`))}` } },
      { code: 'basic-malformed', fields: { authorization: `Basic ${secret('bm90aGluZw')}` } },
    ].map((more) => ({
      ...{ line: 'GET /basic', status: 401, challenge: 'Basic realm="shop", charset="UTF-8"' },
      ...more,
    })),
    { line: 'GET /jwt', status: 401, code: 'credentials-missing', challenge: 'Bearer realm="tidegate"' },
    ...[
      { code: 'token-malformed', fields: { authorization: `Bearer ${secret('no-token-at-all')}` } },
      { code: 'token-expired', fields: await bearer({ exp: 1_600_000_000 }) },
      { code: 'token-signature', fields: { authorization: `Bearer ${secret(forge(await sign(key)))}` } },
    ].map((more) => ({ ...{ line: 'GET /jwt', status: 401, challenge: invalid }, ...more })),
    {
      ...{ line: 'GET /introspection', status: 401, code: 'token-inactive', challenge: invalid },
      fields: { authorization: `Bearer ${secret('opaque-token-0815')}` },
    },
    ...[
      { code: 'credentials-missing' },
      { code: 'signature-malformed', fields: { signature: secret('garbage-in-signature') } },
      { code: 'signature-invalid', fields: signature('"@method": POST') },
    ].map((more) => ({
      ...{ line: 'GET /signature', status: 401, challenge: 'Signature realm="tidegate"' },
      ...more,
    })),
    { line: 'GET /oidc', status: 401, code: 'credentials-missing', challenge: 'Cookie realm="tidegate"' },
    {
      ...{ line: 'GET /oidc', status: 401, code: 'session-expired', challenge: 'Cookie realm="tidegate"' },
      fields: { cookie: `session=${secret('garbage-in-session')}` },
    },
    { line: `GET /oidc/callback?code=${secret('authorization-code')}&state=x`, status: 400, code: 'login-state' },
    { line: 'GET /forward', status: 403, code: 'forward-auth-refused' },
    {
      ...{ line: 'GET /forward', status: 429, code: 'forward-auth-refused' },
      fields: { authorization: `Bearer ${secret('slow-down-token')}` },
    },
    { line: 'GET /rule', status: 403, code: 'forbidden-rule', fields: keyed },
    { line: 'GET /default', status: 403, code: 'forbidden-default', fields: keyed },
    {
      ...{ line: 'GET /scope', status: 403, code: 'insufficient-scope', fields: await bearer({ scope: 'read' }) },
      challenge: 'Bearer error="insufficient_scope", scope="write"',
    },
    { line: 'GET /identity', status: 401, code: 'identity-required', challenge: 'Bearer realm="tidegate"' },
    { line: 'GET /limit', status: 200, code: '' },
    { line: 'GET /limit', status: 429, code: 'rate-limited' },
    {
      line: 'OPTIONS /cors',
      status: 403,
      code: 'cors-origin',
      fields: { ...preflight, origin: 'https://evil.example' },
    },
    // A preflight carries no credentials and is answered before anybody asks for some; what follows it must have them.
    { line: 'OPTIONS /cors', status: 204, code: '', fields: { ...preflight, origin: 'https://app.example' } },
    {
      ...{ line: 'GET /cors', status: 401, code: 'credentials-missing', challenge: 'ApiKey realm="tidegate"' },
      fields: { origin: 'https://app.example' },
    },
    { line: 'GET /cors', status: 200, code: '', fields: { origin: 'https://app.example', cookie: `key=${KEY}` } },
    { line: `GET /key?key=${KEY}&b=2`, status: 200, code: '' },
    {
      line: 'GET /basic',
      status: 200,
      code: '',
      fields: { authorization: `Basic ${secret(btoa(`ada:${PASSWORD}`))}` },
    },
    { line: 'GET /signature', status: 200, code: '', fields: signature('"@method": GET') },
    { line: 'GET /jwt', status: 200, code: '', fields: await bearer() },
    { line: 'GET /dry', status: 200, code: '', fields: keyed },
  ];

  const counts = new Map<string, number>();
  for (const { line, fields, status, code, challenge } of cases) {
    const answer = await send(ports.http, line, fields);
    const asked = `${line} ${Object.keys(fields ?? {})}`;
    expect([asked, answer.statusCode, code === '' ? '' : codeOf(answer.body, code)]).toEqual([asked, status, code]);
    const challenges = answer.headers['www-authenticate'];
    if (challenge === undefined) expect(challenges).toBeUndefined();
    else if (challenge.endsWith('=')) expect(challenges?.startsWith(challenge)).toBe(true);
    else expect(challenges).toBe(challenge);
    if (status === 429) expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0);
    const logged = await dataplane.lines.next((one) => one.requestId === answer.headers['x-request-id']);
    expect([asked, logged.status, logged.code ?? '']).toEqual([asked, status, code]);
    if (code !== '') counts.set(code, (counts.get(code) ?? 0) + 1);
    if (line.startsWith('GET /cors')) expect(answer.headers['access-control-allow-origin']).toBe('https://app.example');
  }

  const passed = dataplane.lines.all.filter(({ status, consumer }) => status === 200 && consumer !== undefined);
  expect(passed.map(({ path, consumer }) => `${path} ${consumer}`)).toEqual([
    ...['/cors acme', '/key acme', '/basic ada', '/signature signer', '/jwt alice', '/dry acme'],
  ]);
  expect(passed.at(-1)).toMatchObject({ wouldRefuse: 'forbidden-default' });
  expect(passed.find(({ path }) => path === '/key')).toMatchObject({ query: 'b=2' });

  const metrics = await page(ports.admin, '/metrics');
  for (const [code, count] of counts)
    expect(metrics).toContain(`tidegate_responses_by_code_total{code="${code}"} ${count}`);
  expect(metrics).toMatch(/tidegate_authorization_total\{.*outcome="refused".*\} 1/);
  expect(metrics).toMatch(/tidegate_authorization_total\{.*outcome="would-refuse".*\} 1/);

  const places = {
    log: dataplane.lines.all.map((line) => JSON.stringify(line)).join('\n') + dataplane.errors,
    metrics,
    config: await page(ports.admin, '/debug/config'),
  };
  expect(places.config).toContain('policy/a/key/authentication');
  for (const [place, text] of Object.entries(places)) {
    const seen = [...seenNowhere].filter((one) => text.includes(one) || text.includes(encodeURIComponent(one)));
    expect([place, seen]).toEqual([place, []]);
  }
}, 60_000);

/** The last character but one changed: the last one may hold bits that do not count. */
function forge(token: string): string {
  const at = token.length - 2;
  return `${token.slice(0, at)}${token[at] === 'A' ? 'B' : 'A'}${token.slice(at + 1)}`;
}

/** What a problem document says; an authorizer's answer has none. */
function codeOf(body: string, otherwise: string): string {
  return body.startsWith('{') ? (JSON.parse(body).code as string) : otherwise;
}

async function page(port: number, path: string): Promise<string> {
  return (await fetch(`http://127.0.0.1:${port}${path}`)).text();
}

function send(
  port: number,
  line: string,
  headers: Record<string, string | string[]> = {},
): Promise<{ statusCode: number; headers: http.IncomingHttpHeaders; body: string }> {
  const [method, path] = line.split(' ');
  return new Promise((resolve, reject) => {
    const request = http.request({ host: '127.0.0.1', port, method, path, headers, agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => {
        body += text;
      });
      response.on('end', () => resolve({ statusCode: response.statusCode ?? 0, headers: response.headers, body }));
    });
    request.on('error', reject).end();
  });
}
