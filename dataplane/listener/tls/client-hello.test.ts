import { once } from 'node:events';
import net from 'node:net';
import tls from 'node:tls';
import fc from 'fast-check';
import { beforeAll, expect, test } from 'vitest';
import { HELLO_BAD, HELLO_MORE, MAX_HELLO_BYTES, readClientHello } from './client-hello.ts';

/** What node:tls (OpenSSL) sends for `options`. */
async function helloOf(options: tls.ConnectionOptions): Promise<Buffer> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = tls.connect({ host: '127.0.0.1', port: (server.address() as net.AddressInfo).port, ...options });
  client.on('error', () => {});
  const [socket] = (await once(server, 'connection')) as [net.Socket];
  const [bytes] = (await once(socket, 'data')) as [Buffer];
  client.destroy();
  socket.destroy();
  server.close();
  return bytes;
}

let hello: Buffer;
beforeAll(async () => {
  hello = await helloOf({ servername: 'Shop.Example', ALPNProtocols: ['h2', 'http/1.1'] });
});

/** The same message in records of these sizes. */
function refragment(bytes: Buffer, sizes: readonly number[]): Buffer {
  const message = bytes.subarray(5);
  const records: Buffer[] = [];
  for (let at = 0, i = 0; at < message.length; i++) {
    const piece = message.subarray(at, at + (sizes[i % sizes.length] as number));
    const header = Buffer.from([22, 3, 1, 0, 0]);
    header.writeUInt16BE(piece.length, 3);
    records.push(header, piece);
    at += piece.length;
  }
  return Buffer.concat(records);
}

test('server name and protocols of what OpenSSL sends', async () => {
  expect(readClientHello(hello)).toEqual({ serverName: 'shop.example', protocols: ['h2', 'http/1.1'] });
  expect(readClientHello(await helloOf({}))).toEqual({ serverName: '', protocols: [] });
  expect(readClientHello(await helloOf({ servername: 'a.example', maxVersion: 'TLSv1.2' }))).toMatchObject({
    serverName: 'a.example',
  });
});

test('cut at any byte it wants more; in records of any sizes it says the same', () => {
  const whole = readClientHello(hello);
  for (let end = 0; end < hello.length; end++) expect(readClientHello(hello.subarray(0, end))).toBe(HELLO_MORE);
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 600 }), { minLength: 1, maxLength: 8 }), fc.nat(), (sizes, cut) => {
      const bytes = refragment(hello, sizes);
      expect(readClientHello(bytes)).toEqual(whole);
      expect(readClientHello(bytes.subarray(0, cut % bytes.length))).toBe(HELLO_MORE);
    }),
  );
});

test('whatever comes: an answer, never an error, and nothing is waited for beyond the bound', () => {
  const broken = fc.tuple(fc.nat(), fc.nat(255)).map(([at, byte]) => {
    const bytes = Buffer.from(hello);
    bytes[at % bytes.length] = byte;
    return bytes;
  });
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 600 }).map(Buffer.from), broken), (bytes) => {
      const read = readClientHello(bytes);
      if (typeof read === 'object') expect(read.serverName).toMatch(/^[a-z0-9_.-]{0,254}$/);
    }),
    { numRuns: 2000 },
  );
  const endless = Buffer.concat(Array.from({ length: 4000 }, () => Buffer.from([22, 3, 1, 0, 1, 1])));
  expect(readClientHello(endless)).toBe(HELLO_BAD);
  const large = Buffer.concat([Buffer.from([22, 3, 1, 0x40, 0, 1, 0, 0x3f, 0]), Buffer.alloc(MAX_HELLO_BYTES)]);
  expect(readClientHello(large)).toBe(HELLO_BAD);
});
