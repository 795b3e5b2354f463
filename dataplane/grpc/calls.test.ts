/** Calls of all four kinds, with a client and servers that speak gRPC. */
import { once } from 'node:events';
import http2 from 'node:http2';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  Metadata,
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
  status,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { eventually } from '../engine.fixture.ts';
import { memoryExchange } from '../pipeline/memory-downstream.ts';
import { matchFixture } from '../snapshot/fixtures.ts';
import { retrySettings } from '../snapshot/retry.ts';
import { bidi, ECHO, GrpcBackend, GrpcGateway, outcome, same, unary } from './gateway.fixture.ts';

const POST = { ':method': 'POST', 'content-type': 'application/grpc', te: 'trailers' };
/** Of 64 KiB. */
const MESSAGES = 4096;

let gateway: GrpcGateway;
let backends: GrpcBackend[] = [];

beforeEach(async () => {
  gateway = await new GrpcGateway().listen();
});
afterEach(async () => {
  await gateway.close();
  for (const backend of backends) backend.kill();
  backends = [];
  expect(gateway.errors).toEqual([]);
});

async function backend(implementation: UntypedServiceImplementation): Promise<GrpcBackend> {
  const started = await new GrpcBackend(implementation).listen();
  backends.push(started);
  return started;
}

/** Sends a message and waits for the next one. */
async function said(call: ReturnType<typeof bidi>, text: string): Promise<string> {
  const next = new Promise((resolve) => call.once('data', resolve));
  call.write(Buffer.from(text));
  return String(await next);
}

/** Says who it is, in metadata of every kind. */
const named = (name: string): UntypedServiceImplementation => ({
  unary: (call: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>) => {
    const head = new Metadata();
    head.set('x-name', name);
    head.set('echo-bin', Buffer.concat((call.metadata.get('echo-bin') as Buffer[]).slice(0, 1)));
    call.sendMetadata(head);
    const trailers = new Metadata();
    trailers.set('x-deadline', String(call.getDeadline()));
    trailers.set('trail-bin', Buffer.from([0, 1, 255]));
    done(null, call.request, trailers);
  },
  client: (call: ServerReadableStream<Buffer, Buffer>, done: sendUnaryData<Buffer>) => {
    let bytes = 0;
    call.on('data', (message: Buffer) => {
      bytes += message.length;
    });
    call.on('end', () => done(null, Buffer.from(String(bytes))));
  },
  server: (call: ServerWritableStream<Buffer, Buffer>) => {
    const count = Number(call.request.toString());
    for (let i = 0; i < count; i++) call.write(Buffer.from(`${name} ${i}`));
    call.end();
  },
  bidi: (call: ServerDuplexStream<Buffer, Buffer>) => {
    call.on('data', (message: Buffer) => call.write(message));
    call.on('end', () => call.end());
  },
});

describe('the four kinds', () => {
  beforeEach(async () => gateway.serve([(await backend(named('a'))).port]));

  test('unary, with metadata both ways', async () => {
    const metadata = new Metadata();
    metadata.set('echo-bin', Buffer.from([1, 0, 254]));
    const called = await unary(gateway.client(), 'hello', metadata);
    expect(called).toMatchObject({ code: status.OK, messages: [Buffer.from('hello')] });
    expect(called.head?.get('x-name')).toEqual(['a']);
    expect(called.head?.get('echo-bin')).toEqual([Buffer.from([1, 0, 254])]);
    expect(called.metadata.get('trail-bin')).toEqual([Buffer.from([0, 1, 255])]);
    expect(gateway.finished).toMatchObject([{ status: 200, grpcStatus: 0, code: '' }]);
  });

  test('client streaming', async () => {
    let answer = '';
    const call = gateway.client().makeClientStreamRequest(ECHO.client.path, same, same, (_error, value) => {
      answer = String(value);
    });
    const over = outcome(call);
    for (let i = 0; i < 100; i++) call.write(Buffer.alloc(1000));
    call.end();
    expect((await over).code).toBe(status.OK);
    expect(answer).toBe('100000');
  });

  test('server streaming', async () => {
    const call = gateway.client().makeServerStreamRequest(ECHO.server.path, same, same, Buffer.from('500'));
    const { code, messages } = await outcome(call);
    expect([code, messages.length, String(messages[499])]).toEqual([status.OK, 500, 'a 499']);
  });

  test('bidirectional: each message is there before the next one is sent', async () => {
    const call = bidi(gateway.client());
    const over = outcome(call);
    for (let i = 0; i < 20; i++) {
      expect(await said(call, `m${i}`)).toBe(`m${i}`);
    }
    call.end();
    expect((await over).code).toBe(status.OK);
  });

  test('a message of 16 MiB both ways', async () => {
    const big = Buffer.alloc(16 * 1024 * 1024, 'x');
    big[1_000_000] = 7;
    const { code, messages } = await unary(gateway.client(), big);
    expect(code).toBe(status.OK);
    expect(messages[0]?.equals(big)).toBe(true);
  });

  test('a method that is not there: the status of the backend, in one frame', async () => {
    const { code } = await unary(
      gateway.client(),
      'x',
      new Metadata(),
      {},
      { ...ECHO.unary, path: '/test.v1.Echo/None' },
    );
    expect(code).toBe(status.UNIMPLEMENTED);
    expect(gateway.finished).toMatchObject([{ status: 200, grpcStatus: 12 }]);
  });
});

test('a client that does not read holds the backend up, through all buffers', async () => {
  let sent = 0;
  const port = (
    await backend({
      server: (call: ServerWritableStream<Buffer, Buffer>) => {
        const more = (): void => {
          for (let free = true; free && sent < MESSAGES; sent++) free = call.write(Buffer.alloc(64 * 1024));
          if (sent < MESSAGES) call.once('drain', more);
          else call.end();
        };
        more();
      },
    })
  ).port;
  await gateway.serve([port]);
  // grpc-js reads on by itself.
  const session = http2.connect(`http://127.0.0.1:${gateway.h2cPort}`);
  const call = session.request({ ...POST, ':path': ECHO.server.path });
  call.end(Buffer.alloc(5));
  await once(call, 'response');
  let before = -1;
  while (before !== sent) {
    before = sent;
    await sleep(200);
  }
  expect(sent).toBeLessThan(512);
  let bytes = 0;
  call.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
  });
  await once(call, 'end');
  expect(bytes).toBe(MESSAGES * (64 * 1024 + 5));
  session.close();
}, 30_000);

describe('several backends', () => {
  test('streams of one connection go to each of them', async () => {
    const ports = await Promise.all(['a', 'b', 'c'].map(async (name) => (await backend(named(name))).port));
    await gateway.serve(ports);
    const client = gateway.client();
    const names = await Promise.all(Array.from({ length: 30 }, () => unary(client, 'x')));
    const counts: Record<string, number> = {};
    for (const { head } of names) {
      const name = String(head?.get('x-name')[0]);
      counts[name] = (counts[name] ?? 0) + 1;
    }
    expect(counts).toEqual({ a: 10, b: 10, c: 10 });
    expect(gateway.h2c.stats.connections).toBe(1);
  });

  test('one that dies in the middle of a stream: not OK, and the others are used', async () => {
    const [a, b] = [await backend(named('a')), await backend(named('b'))] as const;
    await gateway.serve([a.port, b.port]);
    const client = gateway.client();
    const calls = [bidi(client), bidi(client)];
    const over = calls.map(outcome);
    await Promise.all(calls.map((call) => said(call, 'x')));
    a.kill();
    const first = await Promise.race(over);
    expect([status.UNAVAILABLE, status.INTERNAL]).toContain(first.code);
    for (const call of calls) call.end();
    const codes = (await Promise.all(over)).map(({ code }) => code).sort();
    expect(codes).toEqual([status.OK, first.code]);
    expect(gateway.finished.map(({ grpcStatus }) => grpcStatus).sort()).toEqual([0, first.code]);
    for (let i = 0; i < 4; i++) expect((await unary(client, 'x')).head?.get('x-name')).toEqual(['b']);
  });
});

test('a call that is cancelled is cancelled at the backend', async () => {
  let cancelled = false;
  const { port } = await backend({
    bidi: (call: ServerDuplexStream<Buffer, Buffer>) => {
      call.on('data', (message: Buffer) => call.write(message));
      call.on('cancelled', () => {
        cancelled = true;
      });
      call.on('error', () => {});
    },
  });
  await gateway.serve([port]);
  const call = bidi(gateway.client());
  const over = outcome(call);
  await said(call, 'x');
  call.cancel();
  expect((await over).code).toBe(status.CANCELLED);
  await eventually(() => cancelled, 'the backend is told');
  await eventually(() => gateway.finished.length === 1);
  expect(gateway.finished).toMatchObject([{ code: 'client-closed', grpcStatus: 1 }]);
});

describe('deadlines', () => {
  test('what is left of it reaches the backend', async () => {
    await gateway.serve([(await backend(named('a'))).port]);
    const at = Date.now() + 5000;
    const { metadata } = await unary(gateway.client(), 'x', new Metadata(), { deadline: at });
    const there = new Date(String(metadata.get('x-deadline')[0])).getTime() || Number(metadata.get('x-deadline')[0]);
    expect(there).toBeGreaterThan(at - 1500);
    expect(there).toBeLessThan(at + 100);
  });

  test.each([
    ['of the client', {}, '200m'],
    ['of the rule, which is shorter', { timeouts: { requestMs: 200 } }, '10S'],
    ['of the rule, before the head', { timeouts: { requestMs: 200 } }, undefined],
  ])('%s: DEADLINE_EXCEEDED from the gateway', async (_name, rule, timeout) => {
    await gateway.serve([(await backend({ unary: () => {} })).port], rule);
    const metadata = new Metadata();
    if (timeout !== undefined) metadata.set('grpc-timeout', timeout);
    const { code } = await unary(gateway.client(), 'x', metadata);
    expect(code).toBe(status.DEADLINE_EXCEEDED);
    expect(gateway.finished).toMatchObject([{ grpcStatus: 4 }]);
  });

  test('in the middle of a stream: the same, in trailers', async () => {
    await gateway.serve([(await backend(named('a'))).port], { timeouts: { requestMs: 300 } });
    const call = bidi(gateway.client());
    const over = outcome(call);
    await said(call, 'x');
    expect(await over).toMatchObject({ code: status.DEADLINE_EXCEEDED, details: 'The request took too long.' });
  });
});

describe('UNAVAILABLE', () => {
  const RETRY = retrySettings.parse({
    attempts: 2,
    on: ['connect', 'grpcUnavailable'],
    statuses: [],
    methods: ['GET'],
    budget: { percent: 100, minPerSecond: 100 },
    backoff: { baseMs: 1, maxMs: 1 },
    maxRetryAfterMs: 1000,
    bodyBytes: 65_536,
  });
  const failing = (code: number, asked: string[], pushback?: string): UntypedServiceImplementation => ({
    unary: (call: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>) => {
      asked.push(String(call.request));
      const metadata = new Metadata();
      if (pushback !== undefined) metadata.set('grpc-retry-pushback-ms', pushback);
      done({ code, details: 'busy', metadata });
    },
  });

  test('is retried elsewhere, with its message', async () => {
    const asked: string[] = [];
    const ports = [(await backend(failing(status.UNAVAILABLE, asked))).port, (await backend(named('b'))).port];
    await gateway.serve(ports, { retry: RETRY });
    const client = gateway.client();
    for (let i = 0; i < 4; i++) {
      expect(await unary(client, `m${i}`)).toMatchObject({ code: status.OK, messages: [Buffer.from(`m${i}`)] });
    }
    expect(asked.length).toBeGreaterThan(0);
    expect(gateway.finished.some(({ attempts }) => attempts === 2)).toBe(true);
  });

  test.each([
    ['another status', failing(status.INTERNAL, []), status.INTERNAL],
    ['a server that asks for no retry', failing(status.UNAVAILABLE, [], '-1'), status.UNAVAILABLE],
  ])('%s is not', async (_name, implementation, code) => {
    await gateway.serve([(await backend(implementation)).port], { retry: RETRY });
    expect((await unary(gateway.client(), 'x')).code).toBe(code);
    expect(gateway.finished).toMatchObject([{ attempts: 1, grpcStatus: code }]);
  });

  test('opens a breaker as a 503 does', async () => {
    const asked: string[] = [];
    const { port } = await backend(failing(status.UNAVAILABLE, asked));
    const circuit = {
      errorThresholdPercentage: 100,
      volumeThreshold: 1000,
      rollingCountTimeoutMs: 10_000,
      rollingCountBuckets: 10,
      consecutiveFailures: 3,
      resetTimeoutMs: 10_000,
      halfOpenRequests: 1,
    };
    await gateway.serve([port], {}, { breaker: { backend: circuit } });
    const client = gateway.client();
    const codes: number[] = [];
    for (let i = 0; i < 5; i++) codes.push((await unary(client, 'x')).code);
    expect(codes).toEqual([14, 14, 14, 14, 14]);
    expect(asked).toHaveLength(3);
    expect(gateway.finished.at(-1)).toMatchObject({ code: 'breaker-open', status: 503, grpcStatus: 14 });
  });
});

test('UNAVAILABLE after messages is too late for a retry, and counts as a failure', async () => {
  const { port } = await backend({
    server: (call: ServerWritableStream<Buffer, Buffer>) => {
      call.write(Buffer.from('x'));
      call.emit('error', { code: status.UNAVAILABLE, details: 'gone' });
    },
  });
  await gateway.serve([port]);
  let failed = 0;
  const pool = gateway.upstreams[0]?.pick(memoryExchange('GET /'), null);
  pool?.watch({
    failed: () => {
      failed++;
    },
  });
  const call = gateway.client().makeServerStreamRequest(ECHO.server.path, same, same, Buffer.from('x'));
  expect(await outcome(call)).toMatchObject({
    code: status.UNAVAILABLE,
    details: 'gone',
    messages: [Buffer.from('x')],
  });
  expect(gateway.finished).toMatchObject([{ status: 200, code: '', attempts: 1, grpcStatus: 14 }]);
  expect(failed).toBe(1);
});

test('a stream stays on the configuration it began on', async () => {
  const [a, b] = [await backend(named('a')), await backend(named('b'))] as const;
  await gateway.serve([a.port]);
  const client = gateway.client();
  const call = bidi(client);
  const over = outcome(call);
  await said(call, 'x');
  await gateway.serve([b.port], { matches: [matchFixture('/test.v1.Echo')] });
  expect((await unary(client, 'x')).head?.get('x-name')).toEqual(['b']);
  expect(await said(call, 'y')).toBe('y');
  call.end();
  expect((await over).code).toBe(status.OK);
});

test('drain: streams under way finish, the client opens the next ones elsewhere', async () => {
  await gateway.serve([(await backend(named('a'))).port]);
  const client = gateway.client();
  const call = bidi(client);
  const over = outcome(call);
  await said(call, 'x');
  gateway.h2c.beginDrain();
  const closed = gateway.h2c.close(5000);
  expect(await said(call, 'y')).toBe('y');
  call.end();
  expect((await over).code).toBe(status.OK);
  await closed;
});

test('a call may be silent for as long as its rule lets it, and either side ends the silence', async () => {
  await gateway.serve([(await backend(named('a'))).port], { timeouts: { idleMs: 600 } });
  const call = bidi(gateway.client());
  const over = outcome(call);
  for (let i = 0; i < 4; i++) {
    await said(call, 'x');
    await sleep(300);
  }
  const { code } = await over;
  expect(code).toBe(status.UNAVAILABLE);
  expect(gateway.finished[0]?.code).toMatch(/^(upstream-idle-timeout|body-timeout)$/);
});
