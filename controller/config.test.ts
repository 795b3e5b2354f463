import { expect, test } from 'vitest';
import { readConfig } from './config.ts';

function mistakesOf(args: string[], env: Record<string, string>): string[] {
  try {
    readConfig(args, env);
  } catch (error) {
    return (error as Error).message
      .split('\n')
      .slice(1)
      .map((line) => line.trim());
  }
  return [];
}

const LAPTOP = { TIDEGATE_SOURCE: 'files', TIDEGATE_DIR: './config', TIDEGATE_LISTEN: 'unix:/tmp/x.sock' };

test('a laptop needs a folder and a socket', () => {
  const invocation = readConfig([], LAPTOP);
  if (invocation.kind !== 'run') throw new Error('help');
  expect(invocation.config).toMatchObject({
    source: { kind: 'files', dir: './config' },
    gateway: 'tidegate',
    listen: 'unix:/tmp/x.sock',
    lease: null,
    metricsApi: null,
    admin: { host: '127.0.0.1', port: 9091 },
  });
});

test('flags win over variables, and an empty variable is no value', () => {
  const invocation = readConfig(['--gateway', 'blue', '--admin-port=0'], {
    ...LAPTOP,
    TIDEGATE_GATEWAY: 'green',
    TIDEGATE_ADMIN_HOST: '',
  });
  expect(invocation).toMatchObject({ config: { gateway: 'blue', admin: { host: '127.0.0.1', port: 0 } } });
});

test('a pod: name and namespace from its environment, election on', () => {
  const invocation = readConfig([], {
    POD_NAME: 'tidegate-controller-1',
    POD_NAMESPACE: 'tidegate',
    TIDEGATE_TLS_CERT: '/c',
    TIDEGATE_TLS_KEY: '/k',
    TIDEGATE_TLS_CA: '/a',
    TIDEGATE_NAMESPACES: 'shop, pay,',
  });
  expect(invocation).toMatchObject({
    config: {
      replica: 'tidegate-controller-1',
      namespace: 'tidegate',
      namespaces: ['shop', 'pay'],
      listen: '0.0.0.0:9443',
      lease: { name: 'tidegate-controller', durationMs: 15_000, renewMs: 10_000, retryMs: 2_000 },
    },
  });
});

test('all mistakes are told at once, each where it was made', () => {
  expect(
    mistakesOf(['--admin-port', '99999', '--nonsense', 'x', 'stray'], {
      ...LAPTOP,
      TIDEGATE_LOG_LEVEL: 'loud',
      TIDEGATE_LISTEN: 'nowhere',
    }),
  ).toEqual([
    '--nonsense: there is no such flag (--help lists them)',
    '"x": only --name value is understood',
    '"stray": only --name value is understood',
    'TIDEGATE_LISTEN: must be host:port or unix:/path',
    expect.stringMatching(/^--admin-port: /),
    expect.stringMatching(/^TIDEGATE_LOG_LEVEL: .*"info"/),
  ]);
});

test.each([
  [['--dir', ''], { ...LAPTOP, TIDEGATE_DIR: '' }, /^--dir: source files needs a folder/],
  [['--listen', '0.0.0.0:9443'], LAPTOP, /^--listen: a port needs --tls-cert/],
  [['--tls-cert', '/c'], LAPTOP, /belong together/],
  [['--metrics-api-port', '6443', '--metrics-api-cert', '/c', '--metrics-api-key', '/k'], LAPTOP, /needs a cluster/],
  [['--lease-renew-ms', '20000'], LAPTOP, /must be longer/],
  [['--peers', '10.0.0.1:9443', '--tls-cert', '/c', '--tls-key', '/k', '--tls-ca', '/a'], LAPTOP, /^--tls-server-name/],
  [['--source', 'kubernetes'], LAPTOP, /^--namespace: is needed/],
])('%j contradicts itself', (args, env, message) => {
  expect(mistakesOf(args, env)).toEqual([expect.stringMatching(message)]);
});

test('help names every flag with its default', () => {
  const invocation = readConfig(['--help'], {});
  if (invocation.kind !== 'help') throw new Error('no help');
  expect(invocation.text).toContain('--lease-duration-ms');
  expect(invocation.text).toMatch(/--gateway .*\[tidegate\]/);
});
