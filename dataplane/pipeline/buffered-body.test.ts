import { expect, test } from 'vitest';
import { BodyDownstream } from './body-downstream.fixture.ts';
import { bufferBody } from './buffered-body.ts';
import type { BodySink } from './exchange.ts';
import { MemoryDownstream, memoryExchange } from './memory-downstream.ts';

/** What a backend would get. */
function readAgain(exchange: ReturnType<typeof memoryExchange>, stopAfterData = false) {
  let text = '';
  let ended = 0;
  const sink: BodySink = {
    onData: (chunk, release) => {
      text += Buffer.from(chunk).toString();
      release?.();
      return !stopAfterData;
    },
    onEnd: () => ended++,
    onAbort: () => {},
  };
  exchange.downstream.readBody(sink);
  return { text: () => text, ended: () => ended };
}

test('a body is read whole and read again by who comes next, with its length', async () => {
  const downstream = new BodyDownstream(['one ', 'two ', 'three']);
  const exchange = memoryExchange('POST /', { downstream, fields: ['expect', '100-continue'] });
  expect(await bufferBody(exchange, 100)).toMatchObject({ kind: 'body', bytes: Buffer.from('one two three') });
  expect([downstream.informational, exchange.headers.has('expect')]).toEqual([[100], false]);
  expect(exchange.downstream.requestLength).toBe(13);
  const again = readAgain(exchange);
  expect([again.text(), again.ended()]).toEqual(['one two three', 1]);
  const slow = readAgain(exchange, true);
  expect(slow.ended()).toBe(0);
  exchange.downstream.resumeBody();
  exchange.downstream.resumeBody();
  expect([slow.text(), slow.ended()]).toEqual(['one two three', 1]);
});

test('everything but the body is still that of the client', async () => {
  const downstream = new BodyDownstream(['x']);
  const exchange = memoryExchange('POST /', { downstream });
  await bufferBody(exchange, 1);
  const onClose = () => {};
  exchange.downstream.onClose = onClose;
  expect(downstream.onClose).toBe(onClose);
  exchange.downstream.writeHead(200, exchange.headers, 2);
  exchange.downstream.write(Buffer.from('ok'), null);
  exchange.downstream.end(null);
  expect([downstream.status, downstream.body, downstream.ended]).toEqual([200, 'ok', 1]);
});

test('one byte too many, announced or not, is too large', async () => {
  for (const downstream of [new BodyDownstream(['abc', 'd']), new BodyDownstream(['abcd'], { length: 4 })]) {
    const exchange = memoryExchange('POST /', { downstream });
    expect(await bufferBody(exchange, 3)).toEqual({ kind: 'too-large' });
    expect(exchange.downstream).toBe(downstream);
  }
});

test('a client that breaks off, and none that sends a body at all', async () => {
  const aborted = memoryExchange('POST /', { downstream: new BodyDownstream(['a'], { abort: 'body-timeout' }) });
  expect(await bufferBody(aborted, 10)).toEqual({ kind: 'aborted', reason: 'body-timeout' });
  const empty = memoryExchange('GET /', { downstream: new MemoryDownstream() });
  expect(await bufferBody(empty, 10)).toEqual({ kind: 'body', bytes: Buffer.alloc(0) });
});
