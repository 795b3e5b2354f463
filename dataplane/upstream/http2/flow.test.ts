/** Flow control end to end: who is behind stops the other side, whatever lies between (RFC 9113 section 5.2). */
import { createHash } from 'node:crypto';
import net from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { eventually, type TestProxy } from '../../engine.fixture.ts';
import { Http2Backend, proxyTo, type Seen } from './http2.fixture.ts';

const MIB = 1024 * 1024;
const SIZE = 64 * MIB;
/** Windows, and what the kernel holds on both sides of a connection. */
const HELD = 16 * MIB;
const BLOCK = Buffer.alloc(64 * 1024, 'abcdefg');
const running: { close(): Promise<void> }[] = [];

afterEach(async () => {
  for (const part of running.splice(0)) await part.close();
});

async function scene(script: (seen: Seen) => void): Promise<TestProxy> {
  const server = await new Http2Backend(script).listen();
  running.push(server);
  const gateway = await proxyTo([server.port]);
  running.unshift(gateway);
  return gateway;
}

/** Until `count` stands still. */
async function settled(count: () => number): Promise<number> {
  for (let before = -1; before !== count() || before <= 0; ) {
    before = count();
    await new Promise((resolve) => setTimeout(resolve, 150));
  }
  return count();
}

function expectedHash(): string {
  const hash = createHash('sha256');
  for (let sent = 0; sent < SIZE; sent += BLOCK.length) hash.update(BLOCK);
  return hash.digest('hex');
}

test('a backend that does not read stops a client that sends 64 MiB; then all of it arrives', async () => {
  const hash = createHash('sha256');
  let begin: () => void = () => {};
  const gateway = await scene(({ stream }) => {
    begin = () => {
      stream.on('data', (bytes) => hash.update(bytes));
      stream.on('end', () => stream.respond({ ':status': 204 }, { endStream: true }));
    };
  });
  const client = await gateway.client();
  client.send(`POST / HTTP/1.1\r\nhost: a\r\ncontent-length: ${SIZE}\r\n\r\n`);
  let sent = 0;
  const send = (): void => {
    while (sent < SIZE) {
      sent += BLOCK.length;
      if (!client.socket.write(BLOCK)) return;
    }
  };
  client.socket.on('drain', send);
  send();
  await eventually(() => gateway.exchanges.length === 1);
  const read = await settled(() => gateway.exchanges[0]?.bytesIn ?? 0);
  expect(read).toBeLessThan(2 * MIB);
  begin();
  await client.until('204 No Content');
  expect(hash.digest('hex')).toBe(expectedHash());
}, 60_000);

test('a client that does not read stops a backend that sends 64 MiB; another stream of the session is not held up', async () => {
  let sent = 0;
  const gateway = await scene(({ stream, fields }) => {
    if (fields[':path'] !== '/big') {
      stream.respond({ ':status': 204 }, { endStream: true });
      return;
    }
    stream.respond({ ':status': 200, 'content-length': SIZE });
    const send = (): void => {
      while (sent < SIZE) {
        sent += BLOCK.length;
        if (!stream.write(BLOCK)) return;
      }
      stream.end();
    };
    stream.on('drain', send);
    send();
  });
  const client = await gateway.client();
  client.socket.removeAllListeners('data');
  client.socket.pause();
  client.send('GET /big HTTP/1.1\r\nhost: a\r\n\r\n');
  expect(await settled(() => sent)).toBeLessThan(HELD);
  const other = await gateway.client();
  other.send('GET /small HTTP/1.1\r\nhost: a\r\n\r\n');
  await other.until('204 No Content');
  const hash = createHash('sha256');
  let head: Buffer = Buffer.alloc(0);
  let body = 0;
  client.socket.on('data', (bytes: Buffer) => {
    let at = 0;
    if (body === 0) {
      head = Buffer.concat([head, bytes]);
      const end = head.indexOf('\r\n\r\n');
      if (end < 0) return;
      at = end + 4 - (head.length - bytes.length);
    }
    body += bytes.length - at;
    hash.update(bytes.subarray(at));
  });
  client.socket.resume();
  await eventually(() => body >= SIZE, 'the body');
  expect(hash.digest('hex')).toBe(expectedHash());
  await eventually(() => gateway.upstream.stats.active === 0);
  expect(gateway.upstream.stats.connections).toBe(1);
}, 60_000);

test('a backend with windows without end that does not read its socket stops the client too', async () => {
  const server = net.createServer((socket) => {
    socket.on('error', () => {});
    socket.write(Buffer.from('00000604000000000000047fffffff' + '00000408000000000040000000', 'hex'));
    socket.once('data', () => socket.pause());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const gateway = await proxyTo([(server.address() as net.AddressInfo).port]);
  running.unshift(gateway, { close: async () => void server.close() });
  const client = await gateway.client();
  client.send(`POST / HTTP/1.1\r\nhost: a\r\ncontent-length: ${SIZE}\r\n\r\n`);
  for (let sent = 0; sent < SIZE; sent += BLOCK.length) client.socket.write(BLOCK);
  await eventually(() => gateway.exchanges.length === 1);
  expect(await settled(() => gateway.exchanges[0]?.bytesIn ?? 0)).toBeLessThan(HELD);
  client.socket.destroy();
});
