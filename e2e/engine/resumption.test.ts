/** TLS sessions over the program's workers and its restarts, as openssl sees them. */
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { selfSigned } from './certificate.ts';
import { kind, type RunningGateway, startGateway } from './gateway.ts';

const HOST = 'sessions.test';
const OTHER = 'other.test';
const VERSIONS = ['-tls1_2', '-tls1_3'] as const;
const folder = mkdtempSync(path.join(tmpdir(), 'tidegate-sessions-'));
const pem = selfSigned(HOST);
const backend = http.createServer((_request, response) => response.end('ok'));
let gateway: RunningGateway;

const start = async (): Promise<void> => {
  const { port } = backend.address() as AddressInfo;
  const route = (name: string, host: string, tls: object) =>
    kind('Route', name, { hosts: [host], tls, rules: [{ name: 'all', backends: [{ name: 'plain' }] }] });
  gateway = await startGateway(port, port, {
    certificate: pem,
    workers: 2,
    objects: [route('sessions', HOST, { secret: 'all' }), route('other', OTHER, { secret: 'all' })],
  });
};

beforeAll(async () => {
  await new Promise<void>((resolve) => backend.listen(0, '127.0.0.1', resolve));
  await start();
});
afterAll(async () => {
  await gateway?.stop();
  backend.close();
  backend.closeAllConnections();
  rmSync(folder, { recursive: true });
});

/** One request; whether the session was taken up. `keep`: where its ticket goes; `show`: the one that is shown. */
function resumed(version: string, host: string, { keep, show }: { keep?: string; show?: string }): Promise<boolean> {
  const args = [
    ...['s_client', '-connect', `127.0.0.1:${gateway.https}`, '-servername', host, version, '-ign_eof'],
    ...(keep === undefined ? [] : ['-sess_out', path.join(folder, keep)]),
    ...(show === undefined ? [] : ['-sess_in', path.join(folder, show)]),
  ];
  return new Promise((resolve, reject) => {
    const client = execFile('openssl', args, { timeout: 10_000 }, (_error, stdout) => {
      const [, what] = /^(New|Reused), TLSv1/m.exec(stdout) ?? [];
      if (what === undefined || !stdout.includes('HTTP/1.1 200')) reject(new Error(stdout));
      else resolve(what === 'Reused');
    });
    client.stdin?.end(`GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
  });
}

test.each(VERSIONS)('%s: a ticket counts with every worker, and only for its host', async (version) => {
  const ticket = `ticket${version}`;
  expect(await resumed(version, HOST, { keep: ticket })).toBe(false);
  expect(existsSync(path.join(folder, ticket))).toBe(true);
  // The kernel spreads connections over the two by their ports: that all 24 meet the one that gave the ticket, happens once in 8 million times.
  for (let i = 0; i < 24; i++) expect(await resumed(version, HOST, { show: ticket }), `connection ${i}`).toBe(true);
  expect(await resumed(version, OTHER, { show: ticket })).toBe(false);
});

test('a process that starts has keys of its own: a full handshake, and no error', async () => {
  await gateway.stop();
  await start();
  for (const version of VERSIONS) expect(await resumed(version, HOST, { show: `ticket${version}` })).toBe(false);
});
