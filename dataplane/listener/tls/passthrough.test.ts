import { once } from 'node:events';
import type net from 'node:net';
import tls from 'node:tls';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { eventually } from '../../engine.fixture.ts';
import { backendFixture, endpointsFixture } from '../../snapshot/fixtures.ts';
import type { Resource } from '../../snapshot/resources.ts';
import { TestAuthority } from './certificates.fixture.ts';
import { hostFixture, shownBy, TlsScene } from './scene.fixture.ts';

let ca: TestAuthority;
let scene: TlsScene;
const servers: tls.Server[] = [];
beforeAll(() => {
  ca = new TestAuthority();
});
afterEach(async () => {
  await scene.close();
  for (const server of servers.splice(0)) server.close();
});
afterAll(() => ca.close());

/** Echoes; its certificate says its name. Returns `address:port`. */
async function echo(name: string): Promise<string> {
  const { chain, key } = ca.issue([`DNS:${name}`], `/CN=${name}`);
  const server = tls.createServer({ cert: chain, key, allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {});
    socket.pipe(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  servers.push(server);
  return `127.0.0.1:${(server.address() as net.AddressInfo).port}`;
}

const through = (host: string, ...addresses: string[]): Resource[] => [
  backendFixture('shop/raw'),
  endpointsFixture('shop/raw', ...addresses),
  {
    kind: 'tls',
    id: 'tls/shop/raw',
    hosts: [host],
    createdAtMs: 1,
    action: { kind: 'passthrough', backend: 'backend/shop/raw' },
  },
];

test('bytes of a passed-through host go to its backend as they are; others end here; not over plain HTTP', async () => {
  scene = await new TlsScene().listen();
  const own = hostFixture('shop/a', ['a.example'], ca.issue(['DNS:a.example'], '/CN=own'));
  scene.configure(...own, ...through('raw.example', await echo('behind')));
  const socket = await scene.connect('raw.example');
  expect(shownBy(socket)).toBe('behind');
  const sent = Buffer.alloc(3_000_000, 'y');
  let got = 0;
  socket.on('data', (bytes) => {
    got += bytes.length;
  });
  socket.end(sent);
  await once(socket, 'end');
  expect(got).toBe(sent.length);
  await eventually(() => scene.relayed.length === 1);
  expect(scene.relayed).toEqual(['shop/raw ok']);
  expect(shownBy(await scene.connect('a.example'))).toBe('own');
  expect(await scene.ask('raw.example', scene.connect('a.example'))).toBe('421 misdirected-request');
  expect(await scene.askPlain('raw.example')).toBe('421 misdirected-request');
});

test('an endpoint that is not there: the next one; none at all: closed; a silent connection too', async () => {
  scene = await new TlsScene('onread', {}, 150).listen();
  const there = await echo('behind');
  scene.configure(...through('raw.example', '127.0.0.1:1', there));
  for (let i = 0; i < 4; i++) expect(shownBy(await scene.connect('raw.example'))).toBe('behind');
  await eventually(() => scene.relayed.length === 4);
  expect(new Set(scene.relayed)).toEqual(new Set(['shop/raw idle-timeout']));
  scene.configure(...through('raw.example', '127.0.0.1:1'));
  await expect(scene.connect('raw.example')).rejects.toThrow();
  scene.configure(...through('raw.example'));
  await expect(scene.connect('raw.example')).rejects.toThrow();
  expect(scene.relayed.slice(4)).toEqual(['shop/raw connect-failed', 'shop/raw no-endpoint']);
  expect(scene.listener.stats.connections).toBe(0);
});
