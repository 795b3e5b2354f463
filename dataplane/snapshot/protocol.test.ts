import { readFileSync } from 'node:fs';
import { credentials, Server, ServerCredentials } from '@grpc/grpc-js';
import { afterEach, expect, test } from 'vitest';
import { renderProtocolModule } from './generate-protocol.ts';
import {
  createSnapshotsClient,
  type FromDataPlane,
  messageLimits,
  type SnapshotsHandlers,
  snapshotsService,
  type ToDataPlane,
} from './protocol.ts';

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0).reverse()) cleanup();
});

test('the embedded descriptor is what gateway.proto says', () => {
  const proto = readFileSync(`${import.meta.dirname}/gateway.proto`, 'utf8');
  expect(readFileSync(`${import.meta.dirname}/generated/gateway.ts`, 'utf8')).toBe(renderProtocolModule(proto));
});

test('messages arrive over a real stream as their TypeScript types say', async () => {
  const server = new Server(messageLimits);
  const received: FromDataPlane[] = [];
  const handlers: SnapshotsHandlers = {
    Subscribe(call) {
      call.on('data', (message: FromDataPlane) => {
        received.push(message);
        if (message.message !== 'load') return;
        call.write({
          message: 'delta',
          delta: {
            baseRevision: '',
            revision: 'r1',
            upsert: [{ id: 'a', hash: 'h', body: Buffer.from('{}') }],
            removed: ['b'],
            last: true,
          },
        });
        call.write({ message: 'refusal', refusal: { code: 'schema', message: 'too old' } });
        call.end();
      });
    },
    Peer(call) {
      call.end();
    },
  };
  server.addService(snapshotsService, { ...handlers });
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  cleanups.push(() => server.forceShutdown());
  const client = createSnapshotsClient(`127.0.0.1:${port}`, credentials.createInsecure());
  cleanups.push(() => client.close());

  const stream = client.Subscribe();
  const answers: ToDataPlane[] = [];
  stream.on('data', (message: ToDataPlane) => answers.push(message));
  const ended = new Promise<void>((resolve) => stream.on('end', resolve));
  const hello = {
    node: 'n',
    zone: '',
    schemaVersion: 1,
    revision: 'r0',
    programVersion: '0',
    gateway: 'tidegate',
    share: null,
    held: [{ id: 'a', hash: 'x' }],
  };
  const load = {
    ready: true,
    draining: false,
    inFlight: 3,
    requestsTotal: 2 ** 40,
    requestsPerSecond: 1.5,
    eventLoopUtilisation: 0.25,
    p99Ms: 7,
    revision: 'r0',
    workers: 2,
  };
  stream.write({ message: 'hello', hello });
  stream.write({ message: 'load', load });
  await ended;

  expect(received).toEqual([
    { message: 'hello', hello },
    { message: 'load', load },
  ]);
  expect(answers).toEqual([
    {
      message: 'delta',
      delta: {
        baseRevision: '',
        revision: 'r1',
        upsert: [{ id: 'a', hash: 'h', body: Buffer.from('{}') }],
        removed: ['b'],
        last: true,
      },
    },
    { message: 'refusal', refusal: { code: 'schema', message: 'too old' } },
  ]);
});
