/** gRPC-Web over HTTP/1.1 and HTTP/2, framed by hand, before a backend that speaks gRPC. */
import { once } from 'node:events';
import http2 from 'node:http2';
import { Metadata, type ServerUnaryCall, type ServerWritableStream, type sendUnaryData, status } from '@grpc/grpc-js';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { backendFixture, endpointsFixture, forwardFixture, ruleFixture } from '../../snapshot/fixtures.ts';
import { GrpcBackend, GrpcGateway } from '../gateway.fixture.ts';
import { Base64Decoder } from './base64.ts';

const seen: Metadata[] = [];
const backend = new GrpcBackend({
  unary: (call: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>) => {
    seen.push(call.metadata);
    if (String(call.request) === 'fail') {
      done({ code: status.NOT_FOUND, details: 'none such: ü' });
      return;
    }
    const trailers = new Metadata();
    trailers.set('x-end', 'yes');
    done(null, call.request, trailers);
  },
  server: (call: ServerWritableStream<Buffer, Buffer>) => {
    for (let i = 0; i < 3; i++) call.write(Buffer.from(`part ${i}`));
    call.end();
  },
});
const gateway = new GrpcGateway();

beforeAll(async () => {
  await backend.listen();
  await gateway.listen();
  await gateway.serve([backend.port]);
});
afterAll(async () => {
  await gateway.close();
  backend.kill();
});

function frame(message: string | Buffer): Buffer {
  const bytes = Buffer.from(message);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

/** Messages and the last frame's fields. */
function read(body: Buffer): { messages: string[]; trailers: string } {
  const messages: string[] = [];
  let trailers = '';
  for (let at = 0; at < body.length; ) {
    const length = body.readUInt32BE(at + 1);
    const text = body.subarray(at + 5, at + 5 + length).toString();
    if (body[at] === 0x80) trailers = text;
    else messages.push(text);
    at += 5 + length;
  }
  return { messages, trailers };
}

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly fields: Record<string, string>;
  readonly body: Buffer;
}

async function overHttp1(path: string, type: string, body: Buffer | string): Promise<Answer> {
  const response = await fetch(`http://127.0.0.1:${gateway.http1Port}${path}`, {
    method: 'POST',
    headers: { 'content-type': type, 'x-grpc-web': '1' },
    body: typeof body === 'string' ? body : new Uint8Array(body),
  });
  return {
    status: response.status,
    type: response.headers.get('content-type') ?? '',
    fields: Object.fromEntries(response.headers),
    body: Buffer.from(await response.arrayBuffer()),
  };
}

async function overHttp2(path: string, type: string, body: Buffer | string): Promise<Answer> {
  const session = http2.connect(`http://127.0.0.1:${gateway.h2cPort}`);
  const stream = session.request({ ':method': 'POST', ':path': path, 'content-type': type });
  stream.end(body);
  const [fields] = await once(stream, 'response');
  const parts: Buffer[] = [];
  for await (const part of stream) parts.push(part);
  session.close();
  return { status: fields[':status'], type: fields['content-type'], fields, body: Buffer.concat(parts) };
}

const UNARY = '/test.v1.Echo/Unary';

describe.each([
  ['HTTP/1.1', overHttp1],
  ['HTTP/2', overHttp2],
])('over %s', (_name, ask) => {
  test('binary: trailers are the last frame', async () => {
    seen.length = 0;
    const answer = await ask(UNARY, 'application/grpc-web+proto', frame('hello'));
    expect([answer.status, answer.type]).toEqual([200, 'application/grpc-web+proto']);
    const { messages, trailers } = read(answer.body);
    expect(messages).toEqual(['hello']);
    expect(trailers.split('\r\n').sort()).toEqual(['', 'grpc-message:OK', 'grpc-status:0', 'x-end:yes']);
    expect(seen[0]?.get('x-grpc-web')).toEqual([]);
  });

  test('text: base64 both ways', async () => {
    const answer = await ask(UNARY, 'application/grpc-web-text', frame('hello').toString('base64'));
    expect(answer.type).toBe('application/grpc-web-text+proto');
    const { messages, trailers } = read(decode(answer.body));
    expect(messages).toEqual(['hello']);
    expect(trailers).toContain('grpc-status:0\r\n');
  });

  test('server streaming', async () => {
    const { body } = await ask('/test.v1.Echo/Server', 'application/grpc-web', frame('x'));
    expect(read(body).messages).toEqual(['part 0', 'part 1', 'part 2']);
  });

  test('an error before any message: the status is in the head', async () => {
    const { fields, body } = await ask(UNARY, 'application/grpc-web', frame('fail'));
    expect(fields['grpc-status']).toBe('5');
    expect(decodeURIComponent(fields['grpc-message'] ?? '')).toBe('none such: ü');
    expect(body).toHaveLength(0);
  });

  test('a megabyte in text mode', async () => {
    const big = 'x'.repeat(1024 * 1024);
    const answer = await ask(UNARY, 'application/grpc-web-text', frame(big).toString('base64'));
    expect(read(decode(answer.body)).messages[0]).toHaveLength(big.length);
  });

  test('what is no base64', async () => {
    gateway.finished.length = 0;
    const { status: http, fields } = await ask(UNARY, 'application/grpc-web-text', '!!!!');
    expect([http, fields['grpc-status']]).toEqual([200, '13']);
    expect(gateway.finished).toMatchObject([{ code: 'bad-request' }]);
  });
});

test('a backend that speaks no gRPC gets it as it came', async () => {
  await gateway.apply([
    ruleFixture('shop/web/all', { hosts: ['web'], action: forwardFixture('shop/web') }),
    backendFixture('shop/web', { protocol: 'http2' }),
    endpointsFixture('shop/web', `127.0.0.1:${backend.port}`),
  ]);
  const session = http2.connect(`http://127.0.0.1:${gateway.h2cPort}`);
  const stream = session.request({
    ':method': 'POST',
    ':path': UNARY,
    ':authority': 'web',
    'content-type': 'application/grpc-web',
  });
  stream.end(frame('x'));
  const [fields] = await once(stream, 'response');
  // grpc-js takes it for gRPC, and answers so.
  expect(fields['content-type']).toBe('application/grpc+proto');
  expect((await once(stream.resume(), 'trailers'))[0]).toMatchObject({ 'grpc-status': '0' });
  session.close();
});

test('property: base64 that is padded anywhere and cut anywhere is what it was', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 40 })), fc.array(fc.integer({ min: 1, max: 9 })), (parts, cuts) => {
      const text = parts.map((part) => Buffer.from(part).toString('base64')).join('');
      const decoder = new Base64Decoder();
      const out: Buffer[] = [];
      for (let at = 0, i = 0; at < text.length; i++) {
        const length = cuts[i % Math.max(1, cuts.length)] ?? 3;
        out.push(decoder.decode(Buffer.from(text.slice(at, at + length))) as Buffer);
        at += length;
      }
      expect(decoder.whole).toBe(true);
      expect(Buffer.concat(out)).toEqual(Buffer.concat(parts));
    }),
  );
});

/** Of pieces that may each be padded. */
function decode(body: Buffer): Buffer {
  return new Base64Decoder().decode(body) as Buffer;
}
