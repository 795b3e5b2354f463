import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { ServerCredentials } from '@grpc/grpc-js';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { DataplaneError } from '../errors.ts';
import { silentLog } from '../log.ts';
import { ControllerStream, STREAM_DEFAULTS } from './client.ts';
import type { Credentials } from './credentials.ts';
import { Inbox, TestController } from './test-controller.ts';

let folder = '';
const at = (name: string): string => path.join(folder, name);
const openssl = (...args: string[]): void => void execFileSync('openssl', args, { stdio: 'pipe', cwd: folder });

/** A CA `<ca>.crt` and, signed by it, `<name>.crt` with `<name>.key`. */
function makeCa(ca: string): void {
  openssl(
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-days',
    '2',
    '-subj',
    `/CN=${ca}`,
    '-keyout',
    `${ca}.key`,
    '-out',
    `${ca}.crt`,
  );
}
function makeCertificate(name: string, ca: string, dns: string): void {
  openssl(
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-days',
    '2',
    '-subj',
    `/CN=${name}`,
    '-addext',
    `subjectAltName=DNS:${dns}`,
    '-addext',
    'basicConstraints=critical,CA:FALSE',
    '-CA',
    `${ca}.crt`,
    '-CAkey',
    `${ca}.key`,
    '-keyout',
    `${name}.key`,
    '-out',
    `${name}.crt`,
  );
}

beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'dp-tls-'));
  makeCa('ca');
  makeCa('other-ca');
  makeCertificate('controller', 'ca', 'controller.test');
  makeCertificate('dataplane', 'ca', 'dp');
  makeCertificate('dataplane-2', 'ca', 'dp-2');
  makeCertificate('stranger', 'other-ca', 'dp');
});
afterAll(() => rmSync(folder, { recursive: true }));

const cleanups: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function controller(): Promise<TestController> {
  const pair = { private_key: readFileSync(at('controller.key')), cert_chain: readFileSync(at('controller.crt')) };
  const started = await TestController.start(
    '127.0.0.1:0',
    ServerCredentials.createSsl(readFileSync(at('ca.crt')), [pair], true),
  );
  cleanups.push(() => started.stop());
  return started;
}

function dataPlane(address: string, credentials: Credentials) {
  const failures = new Inbox<DataplaneError>();
  const hello = {
    node: 'n',
    zone: '',
    schemaVersion: 1,
    revision: '',
    programVersion: '',
    gateway: '',
    held: [],
    share: null,
  };
  const stream = new ControllerStream(
    {
      ...STREAM_DEFAULTS,
      controllers: [address],
      credentials,
      log: silentLog,
      random: () => 0,
      backoffBaseMs: 1,
      credentialsCheckMs: 20,
    },
    {
      hello: () => hello,
      share: () => {},
      apply: async ({ revision }) => ({ revision, accepted: true, rejected: [], message: '' }),
      connected: () => {},
      disconnected: (error) => failures.push(error),
    },
  );
  cleanups.push(() => stream.stop());
  stream.start();
  return { failures };
}

const files = (name: string, ca = 'ca', serverName = 'controller.test'): Credentials => ({
  cert: at(`${name}.crt`),
  key: at(`${name}.key`),
  ca: at(`${ca}.crt`),
  serverName,
});

test('both sides show certificates of the CA', async () => {
  const c = await controller();
  dataPlane(c.address, files('dataplane'));
  expect((await c.streams.next()).hello.node).toBe('n');
});

test.each([
  ['a data plane of another CA', () => files('stranger')],
  ['a controller of another CA', () => files('dataplane', 'other-ca')],
  ['a controller of another name', () => files('dataplane', 'ca', 'elsewhere.test')],
  ['files that are not there', () => files('nobody')],
  ['no TLS', () => null],
])('no stream with %s', async (_, credentials) => {
  const c = await controller();
  const { failures } = dataPlane(c.address, credentials());
  const failure = await failures.next();
  expect(failure.retryable).toBe(true);
  expect(c.streams.all).toEqual([]);
});

test('a renewed certificate is used at once', async () => {
  const c = await controller();
  for (const end of ['crt', 'key']) copyFileSync(at(`dataplane.${end}`), at(`mine.${end}`));
  dataPlane(c.address, files('mine'));
  const first = await c.streams.next();
  expect(first.call.getAuthContext().sslPeerCertificate?.subject.CN).toBe('dataplane');
  for (const end of ['key', 'crt']) copyFileSync(at(`dataplane-2.${end}`), at(`mine.${end}`));
  // A stream may have been opened between the two copies; key and certificate then do not fit and it tries again.
  const second = await c.streams.next();
  expect(second.call.getAuthContext().sslPeerCertificate?.subject.CN).toBe('dataplane-2');
});
