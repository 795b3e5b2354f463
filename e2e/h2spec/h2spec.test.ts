/** h2spec against `tidegate run`: every case passes, without TLS and with it. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { freePorts } from '../bench/ports.ts';
import { type Daemon, run, startDaemon, stopDaemon, until } from '../cluster/process.ts';
import { buildH2spec } from './build.ts';

const dir = mkdtempSync(join(tmpdir(), 'tidegate-h2spec-'));
const cli = join(import.meta.dirname, '..', '..', 'controller', 'dist', 'cli', 'main.js');

// Answers when the request is over: what comes after an answer to a request that is still coming is no case of h2spec's.
const backend = http.createServer((request, response) => {
  request.resume().on('end', () => response.end('from the backend'));
});
let h2spec = '';
let gateway: Daemon | null = null;
let ports: { h2c: number; https: number } = { h2c: 0, https: 0 };

beforeAll(async () => {
  h2spec = await buildH2spec();
  await new Promise<void>((resolve) => backend.listen(0, '127.0.0.1', resolve));
  const [http1 = 0, h2c = 0, https = 0, admin = 0, controller = 0] = await freePorts(5);
  ports = { h2c, https };
  const files = join(dir, 'config');
  mkdirSync(files);
  writeFileSync(join(files, 'gateway.yaml'), configuration((backend.address() as AddressInfo).port));
  gateway = startDaemon(
    'tidegate',
    [
      ...[process.execPath, cli, 'run', files, '--workers', '1', '--state', join(dir, 'state')],
      ...['--port', String(http1), '--h2c-port', String(h2c), '--https-port', String(https)],
      ...['--admin-port', String(admin), '--controller-port', String(controller)],
    ],
    join(dir, 'tidegate.log'),
  );
  await until('the gateway is ready', async () => (await fetch(`http://127.0.0.1:${admin}/readyz`)).ok, 60_000);
}, 900_000);

afterAll(async () => {
  if (gateway !== null) await stopDaemon(gateway, 5_000);
  backend.close();
  rmSync(dir, { recursive: true, force: true });
});

test('without TLS', async () => {
  await passes(['-p', String(ports.h2c)]);
});

test('over TLS', async () => {
  await passes(['-p', String(ports.https), '-t', '-k']);
});

async function passes(args: readonly string[]): Promise<void> {
  const { stdout } = await run([h2spec, '-h', 'localhost', '-o', '5', ...args], {
    allowFailure: true,
    timeoutMs: 110_000,
  });
  const failures = stdout.slice(Math.max(stdout.indexOf('Failures:'), 0));
  expect(failures).toMatch(/\b14\d tests, 14\d passed, 0 skipped, 0 failed/);
}

function configuration(port: number): string {
  const key = join(dir, 'tls.key');
  const cert = join(dir, 'tls.crt');
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '30'];
  const names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
  execFileSync('openssl', ['req', '-x509', ...curve, ...names, '-keyout', key, '-out', cert], { stdio: 'ignore' });
  const base64 = (file: string): string => readFileSync(file).toString('base64');
  const metadata = (name: string) => ({ name, namespace: 'h2spec' });
  const apiVersion = 'tidegate.dev/v1alpha1';
  const rules = [{ name: 'all', matches: [{ path: { prefix: '/' } }], backends: [{ name: 'backend' }] }];
  return [
    {
      apiVersion: 'v1',
      kind: 'Secret',
      type: 'kubernetes.io/tls',
      metadata: metadata('shown'),
      data: { 'tls.crt': base64(cert), 'tls.key': base64(key) },
    },
    { apiVersion, kind: 'Backend', metadata: metadata('backend'), spec: { hosts: [{ address: '127.0.0.1', port }] } },
    {
      apiVersion,
      kind: 'Route',
      metadata: metadata('tls'),
      spec: { hosts: ['localhost'], tls: { secret: 'shown' }, rules },
    },
    { apiVersion, kind: 'Route', metadata: metadata('plain'), spec: { rules } },
  ]
    .map((document) => JSON.stringify(document))
    .join('\n---\n');
}
