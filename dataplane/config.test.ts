import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Config, helpText, loadConfig } from './config.ts';

function load(env: Record<string, string>, ...argv: string[]): Config {
  const loaded = loadConfig(env, argv);
  if (!loaded.ok) throw new Error(loaded.errors.join('\n'));
  return loaded.config;
}
function errorsOf(env: Record<string, string>, ...argv: string[]): readonly string[] {
  const loaded = loadConfig(env, argv);
  return loaded.ok ? [] : loaded.errors;
}
const LOCAL = { TIDEGATE_CONTROLLER: 'unix:/run/c.sock' };

test('a unix socket needs nothing else, and the config is frozen', () => {
  const config = load({ ...LOCAL, POD_NAME: 'dp-1' });
  expect(config).toMatchObject({
    gateway: 'tidegate',
    nodeName: 'dp-1',
    httpPort: 8080,
    httpsPort: 0,
    h2cPort: 0,
    adminHost: '127.0.0.1',
    tls: null,
    accessLog: { kind: 'stdout' },
    drainGraceMs: 0,
    stateDir: '.tidegate',
  });
  expect(config.workers).toBeGreaterThan(0);
  expect(Object.isFrozen(config)).toBe(true);
});

test('in a cluster the grace of a drain is five seconds unless set', () => {
  expect(load({ ...LOCAL, KUBERNETES_SERVICE_HOST: '10.0.0.1' }).drainGraceMs).toBe(5000);
  expect(load({ ...LOCAL, KUBERNETES_SERVICE_HOST: '10.0.0.1', TIDEGATE_DRAIN_GRACE_MS: '7' }).drainGraceMs).toBe(7);
});

test('a flag wins over its variable, in both spellings', () => {
  const env = { ...LOCAL, TIDEGATE_HTTP_PORT: '1000' };
  expect(load(env, '--http-port', '2000').httpPort).toBe(2000);
  expect(load(env, '--http-port=2001').httpPort).toBe(2001);
});

test('all mistakes at once, each with its variable', () => {
  const errors = errorsOf({ TIDEGATE_HTTP_PORT: '99999', TIDEGATE_WORKERS: '-1', TIDEGATE_LOG_LEVEL: 'loud' });
  expect(errors).toEqual([
    'TIDEGATE_HTTP_PORT (or --http-port) must be a port, 0 to 65535; it is "99999"',
    'TIDEGATE_CONTROLLER (or --controller) must be one or more addresses (host:port or unix:/path), comma between them; it is not set',
    'TIDEGATE_WORKERS (or --workers) must be 0 to 256; it is "-1"',
    'TIDEGATE_LOG_LEVEL (or --log-level) must be debug, info, warn, error or silent; it is "loud"',
  ]);
});

test('DNS servers are addresses, with or without a port', () => {
  expect(load(LOCAL).dnsServers).toBeNull();
  const servers = '10.0.0.10, 127.0.0.1:5353,[fd00::10]:53';
  expect(load({ ...LOCAL, TIDEGATE_DNS_SERVERS: servers }).dnsServers).toEqual(servers.split(/, ?/));
  for (const wrong of ['dns.example.com', '10.0.0.10:99999', ',']) {
    expect(errorsOf({ ...LOCAL, TIDEGATE_DNS_SERVERS: wrong })[0]).toContain('TIDEGATE_DNS_SERVERS');
  }
});

test('a misspelt flag is an error, a misspelt variable a warning, a service link neither', () => {
  expect(errorsOf(LOCAL, '--htp-port', '1')[0]).toContain('--htp-port');
  const loaded = loadConfig({ ...LOCAL, TIDEGATE_HTP_PORT2: '1', TIDEGATE_CONTROLLER_SERVICE_HOST: '10.0.0.1' }, []);
  expect(loaded).toMatchObject({
    ok: true,
    warnings: ['TIDEGATE_HTP_PORT2 is not a variable of the data plane: see --help for the names'],
  });
});

test('over the network TLS is required', () => {
  expect(errorsOf({ TIDEGATE_CONTROLLER: 'controller:18000' })[0]).toContain('TIDEGATE_TLS_CERT');
  expect(errorsOf({ TIDEGATE_CONTROLLER: 'controller:18000', TIDEGATE_TLS_CERT: 'c' })).toEqual([
    'TIDEGATE_TLS_KEY and TIDEGATE_TLS_CA must be set too: certificate, key and CA belong together',
  ]);
  const tls = { TIDEGATE_TLS_CERT: 'c', TIDEGATE_TLS_KEY: 'k', TIDEGATE_TLS_CA: 'a' };
  const config = load({ TIDEGATE_CONTROLLER: 'one:1, two:2', ...tls });
  expect(config.controllers).toEqual(['one:1', 'two:2']);
  expect(config.tls).toEqual({ cert: 'c', key: 'k', ca: 'a', serverName: '' });
});

test('plaintext TCP is for loopback only and must be asked for', () => {
  const insecure = { TIDEGATE_INSECURE_CONTROLLER: 'true' };
  expect(load({ TIDEGATE_CONTROLLER: '127.0.0.1:1', ...insecure }).tls).toBeNull();
  expect(load({ TIDEGATE_CONTROLLER: '[::1]:1', ...insecure }).tls).toBeNull();
  expect(errorsOf({ TIDEGATE_CONTROLLER: '127.0.0.1:1' })).toHaveLength(1);
  expect(errorsOf({ TIDEGATE_CONTROLLER: '127.0.0.1:1,10.0.0.1:1', ...insecure })[0]).toContain('10.0.0.1:1');
  expect(errorsOf({ TIDEGATE_CONTROLLER: '127.0.0.1.example.com:1', ...insecure })).toHaveLength(1);
});

test('the PROXY protocol is read on named ports from named sources only; one without the other is a mistake', () => {
  expect(load(LOCAL).proxyProtocol).toEqual({ ports: [], from: [] });
  const [name, from] = ['TIDEGATE_PROXY_PROTOCOL', 'TIDEGATE_PROXY_PROTOCOL_FROM'];
  const both = { ...LOCAL, [name]: 'https, http', [from]: '10.0.0.0/8, 2001:db8::1' };
  expect(load(both).proxyProtocol).toEqual({ ports: ['http', 'https'], from: ['10.0.0.0/8', '2001:db8::1'] });
  expect(errorsOf({ ...LOCAL, [name]: 'http' })[0]).toContain(`needs ${from}`);
  expect(errorsOf({ ...LOCAL, [from]: '10.0.0.0/8' })[0]).toContain(`needs ${name}`);
  for (const wrong of ['on', 'http,tcp', ',']) expect(errorsOf({ ...both, [name]: wrong })[0]).toContain('must be off');
  for (const wrong of ['10.0.0.0/33', 'lb.example', '10.0.0.0/8/8', '10.0.0.0/'])
    expect(errorsOf({ ...both, [from]: wrong })[0]).toContain('must be addresses or CIDR blocks');
});

test('the URL of Redis comes from its variable or a file, and is never printed', () => {
  expect(load(LOCAL).redisUrl).toBeNull();
  const url = 'rediss://user:hidden@redis.example:6380/2';
  expect(load({ ...LOCAL, TIDEGATE_REDIS_URL: url }).redisUrl).toBe(url);
  const folder = mkdtempSync(join(tmpdir(), 'config-'));
  const file = join(folder, 'url');
  writeFileSync(file, `${url}\n`);
  expect(load({ ...LOCAL, TIDEGATE_REDIS_URL_FILE: file }).redisUrl).toBe(url);
  expect(errorsOf({ ...LOCAL, TIDEGATE_REDIS_URL: url, TIDEGATE_REDIS_URL_FILE: file })[0]).toContain('both set');
  writeFileSync(file, 'redis:hidden');
  expect(errorsOf({ ...LOCAL, TIDEGATE_REDIS_URL_FILE: file })[0]).toMatch(/must hold redis:\/\//);
  rmSync(folder, { recursive: true });
  expect(errorsOf({ ...LOCAL, TIDEGATE_REDIS_URL_FILE: file })[0]).toContain("can't be read: ENOENT");
  const withCa = `${url}?tlsCa=/etc/redis/ca.crt`;
  expect(load({ ...LOCAL, TIDEGATE_REDIS_URL: withCa }).redisUrl).toBe(withCa);
  for (const wrong of [
    'redis://:hidden@a?tlsCa=x',
    'rediss://:hidden@a?tlsCa=',
    'http://:hidden@a',
    'redis://',
    'redis://:hidden@a/x',
    'redis://:hidden@a?b',
    'hidden',
  ]) {
    const [error = '', ...more] = errorsOf({ ...LOCAL, TIDEGATE_REDIS_URL: wrong });
    expect(more).toEqual([]);
    expect(error).toContain('TIDEGATE_REDIS_URL (or --redis-url) must be redis://');
    expect(error).not.toContain('hidden');
  }
});

test('the credential store comes from its variable or a file, and is never printed', () => {
  expect(load(LOCAL).credentials).toBeNull();
  const location = 'mysql://gate:hidden@db.example/tidegate';
  expect(load({ ...LOCAL, TIDEGATE_CREDENTIALS: location }).credentials).toEqual({ location, staleForMs: 300_000 });
  const quick = { ...LOCAL, TIDEGATE_CREDENTIALS: 'sqlite:c.db', TIDEGATE_CREDENTIALS_STALE_FOR_MS: '5000' };
  expect(load(quick).credentials).toEqual({ location: 'sqlite:c.db', staleForMs: 5_000 });
  const folder = mkdtempSync(join(tmpdir(), 'config-'));
  const file = join(folder, 'url');
  writeFileSync(file, `${location}\n`);
  expect(load({ ...LOCAL, TIDEGATE_CREDENTIALS_FILE: file }).credentials?.location).toBe(location);
  writeFileSync(file, 'mysql://gate:hidden@db');
  const errors = [
    ...errorsOf({ ...LOCAL, TIDEGATE_CREDENTIALS_FILE: file }),
    ...errorsOf({ ...LOCAL, TIDEGATE_CREDENTIALS: 'mysql://gate:hidden@db' }),
  ];
  rmSync(folder, { recursive: true });
  expect(errors).toHaveLength(2);
  for (const error of errors) {
    expect(error).toContain('sqlite:PATH or mysql://');
    expect(error).not.toContain('hidden');
  }
});

test('limits and time-outs of the listener, in one object for the workers', () => {
  expect(load(LOCAL).listener).toEqual({
    maxConnections: 50_000,
    maxConnectionsPerAddress: 0,
    maxRequestsPerConnection: 0,
    requestLineBytes: 8192,
    headerBytes: 32_768,
    headerCount: 100,
    bodyBytes: 0,
    headerMs: 10_000,
    idleMs: 75_000,
    bodyMs: 30_000,
    bodyBytesPerSecond: 0,
    forwarded: false,
  });
  expect(load({ ...LOCAL, TIDEGATE_BODY_BYTES: '1000000' }, '--header-count', '8').listener).toMatchObject({
    bodyBytes: 1_000_000,
    headerCount: 8,
  });
  expect(errorsOf({ ...LOCAL, TIDEGATE_HEADER_COUNT: '7' })[0]).toContain('must be 8 to 1000');
});

test('help names every variable', () => {
  const help = helpText({});
  for (const name of ['TIDEGATE_CONTROLLER', '--http-port', 'TIDEGATE_DRAIN_DEADLINE_MS', '[8080]'])
    expect(help).toContain(name);
});
