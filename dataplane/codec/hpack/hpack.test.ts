import { once } from 'node:events';
import http2 from 'node:http2';
import net, { type AddressInfo } from 'node:net';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { BLOCK_BROKEN, BLOCK_OK, HpackDecoder } from './decoder.ts';
import { decodeHuffman } from './huffman.ts';

const LIST_BYTES = 1 << 20;

function decode(decoder: HpackDecoder, block: Uint8Array): string[] | null {
  return decoder.decode(block, 0, block.length, LIST_BYTES, 1000) === BLOCK_OK ? decoder.fields : null;
}

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');

test('requests and responses of RFC 7541 appendix C, with and without Huffman codes, over one table each', () => {
  const first = [':method', 'GET', ':scheme', 'http', ':path', '/', ':authority', 'www.example.com'];
  const second = [...first, 'cache-control', 'no-cache'];
  for (const [one, two] of [
    ['8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d', '8286 84be 5808 6e6f 2d63 6163 6865'],
    ['8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff', '8286 84be 5886 a8eb 1064 9cbf'],
  ] as const) {
    const decoder = new HpackDecoder();
    expect(decode(decoder, hex(one))).toEqual(first);
    expect(decode(decoder, hex(two))).toEqual(second);
  }
  // C.6.1: what stands in the table is found by its index.
  const decoder = new HpackDecoder();
  const response = '4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e';
  const date = 'Mon, 21 Oct 2013 20:13:21 GMT';
  expect(decode(decoder, hex(`${response} 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3`))).toEqual([
    ...[':status', '302', 'cache-control', 'private', 'date', date, 'location', 'https://www.example.com'],
  ]);
  expect(decode(decoder, hex('4883 640e ffc1 c0bf'))).toEqual([
    ...[':status', '307', 'cache-control', 'private', 'date', date, 'location', 'https://www.example.com'],
  ]);
});

test('blocks that break the connection', () => {
  for (const [what, block] of [
    ['index 0', '80'],
    ['an index behind the tables', 'be'],
    ['an integer without an end', 'ff ff ff ff ff ff ff'],
    ['an integer that is cut off', 'ff 80'],
    ['a literal longer than the block', '40 0a 61'],
    ['no value', '40 01 61'],
    ['the end of string in a literal', '40 84 ff ff ff ff 01 61'],
    ['padding of more than seven bits', '40 82 1f ff 01 61'],
    ['padding that is not ones', '40 81 18 01 61'],
    ['a table larger than ours', '3f e2 1f'],
    ['a change of the table after a field', '82 20'],
    ['three changes of the table', '20 20 20 82'],
  ] as const) {
    const bytes = hex(block);
    expect([what, new HpackDecoder().decode(bytes, 0, bytes.length, LIST_BYTES, 100)]).toEqual([what, BLOCK_BROKEN]);
  }
});

test('whatever comes is decoded or refused, never read past its end', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 4 }), (blocks) => {
      const alone = new HpackDecoder();
      const within = new HpackDecoder();
      for (const block of blocks) {
        const framed = Buffer.concat([Buffer.of(0x82, 0x41), block, Buffer.of(0x82, 0x84, 0x41)]);
        const result = alone.decode(block, 0, block.length, LIST_BYTES, 1000);
        expect(within.decode(framed, 2, 2 + block.length, LIST_BYTES, 1000)).toBe(result);
        if (result !== BLOCK_OK) return;
        expect(within.fields).toEqual(alone.fields);
        expect(alone.fields.length).toBeLessThanOrEqual(block.length * 2);
      }
    }),
    { numRuns: 3000 },
  );
});

test('a text as long as a block may hold is decoded whole', () => {
  const zeros = Buffer.alloc(128 * 1024 - 16, 0);
  // 00000 is "0": eight of them in five bytes.
  const length = zeros.length - (zeros.length % 5);
  const out = new Uint8Array(208 * 1024);
  expect(decodeHuffman(zeros, 0, length, out)).toBe((length / 5) * 8);
  expect(out.subarray(0, (length / 5) * 8).every((byte) => byte === 48)).toBe(true);
});

/** nghttp2's encoder, behind a socket that shows what it writes. */
let session: http2.ClientHttp2Session;
let server: net.Server;
let frames: Buffer = Buffer.alloc(0);
let told = (): void => {};

beforeAll(async () => {
  server = net.createServer((socket) => {
    socket.on('error', () => {});
    socket.write(Buffer.from('000000040000000000', 'hex'));
    socket.on('data', (bytes: Buffer) => {
      frames = Buffer.concat([frames, bytes]);
      told();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  session = http2.connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, {
    settings: { maxConcurrentStreams: 1 },
  });
  session.on('error', () => {});
  await once(session, 'remoteSettings');
  const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
  while (frames.length < preface.length) await arrival();
  frames = frames.subarray(preface.length);
});

afterAll(() => {
  session.destroy();
  server.close();
});

function arrival(): Promise<void> {
  return new Promise((resolve) => {
    told = resolve;
  });
}

/** The next header block, from its HEADERS and CONTINUATION frames. */
async function nextBlock(): Promise<Buffer> {
  const parts: Buffer[] = [];
  for (;;) {
    while (frames.length < 9 || frames.length < 9 + frames.readUIntBE(0, 3)) await arrival();
    const length = frames.readUIntBE(0, 3);
    const [type, flags] = [frames[3], frames[4] as number];
    const payload = frames.subarray(9, 9 + length);
    frames = frames.subarray(9 + length);
    if (type !== 1 && type !== 9) continue;
    parts.push((flags & 0x20) === 0 ? payload : payload.subarray(5));
    if ((flags & 4) !== 0) return Buffer.concat(parts);
  }
}

test('what nghttp2 encodes over one connection is read as it was', async () => {
  const decoder = new HpackDecoder();
  const value = fc
    .string({ unit: fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code)), maxLength: 300 })
    .map((text) => text.trim());
  const name = fc.stringMatching(/^x-[a-z0-9!#$%&'*+.^_`|~-]{1,20}$/);
  const requests = fc.sample(fc.dictionary(name, value, { maxKeys: 40, noNullPrototype: true }), 300);
  for (const [index, fields] of requests.entries()) {
    // Some come again, so that the dynamic table is used, grows full and lets go.
    const sent = index % 3 === 2 ? (requests[index - 1] as typeof fields) : fields;
    const stream = session.request({ ':path': `/${index}`, ...sent }, { endStream: true });
    stream.on('error', () => {});
    const decoded = decode(decoder, await nextBlock());
    const expected = Object.entries(sent).flat();
    expect(decoded?.slice(decoded.length - expected.length)).toEqual(expected);
    expect(decoder.malformed).toBe(false);
  }
});
