/** What a second reader, and a copy, get of a body, however it arrives and whenever the first reader goes. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type BodySink, LENGTH_UNKNOWN } from './exchange.ts';
import { type KeptBody, keepBody } from './kept-body.ts';
import { MemoryDownstream, memoryExchange } from './memory-downstream.ts';

/** A client whose pieces are sent one by one, unless it was told to stop. */
class SteppedDownstream extends MemoryDownstream {
  override readonly requestLength = LENGTH_UNKNOWN;
  sink: BodySink | null = null;
  stopped = false;
  reads = 0;

  override readBody(sink: BodySink): void {
    this.sink = sink;
    this.reads++;
  }
  override pauseBody(): void {
    this.stopped = true;
  }
  override resumeBody(): void {
    this.stopped = false;
  }

  /** As a listener does: what it has read already comes even when it was told to stop. */
  send(...pieces: string[]): void {
    const shared = Buffer.alloc(64);
    for (const piece of pieces) {
      const length = shared.write(piece);
      if (this.sink?.onData(shared.subarray(0, length), null) === false) this.stopped = true;
      shared.fill(0);
    }
  }
}

class Reader implements BodySink {
  text = '';
  ends = 0;
  aborts: string[] = [];
  /** Answers false after each piece. */
  slow = false;

  onData(chunk: Uint8Array): boolean {
    this.text += Buffer.from(chunk).toString();
    return !this.slow;
  }
  onEnd(): void {
    this.ends++;
  }
  onAbort(reason: string): void {
    this.aborts.push(reason);
  }
}

function scene(maxBytes: number): { client: SteppedDownstream; kept: KeptBody; settled: (string | null)[] } {
  const client = new SteppedDownstream();
  const kept = keepBody(memoryExchange('POST /', { downstream: client }), maxBytes);
  const settled: (string | null)[] = [];
  kept.onSettled = (body) => settled.push(body === null ? null : body.toString());
  return { client, kept, settled };
}

test('property: both readers get the whole body in order, wherever the first one goes and however slow they are', () => {
  const piece = fc.string({ minLength: 1, maxLength: 5, unit: 'grapheme-ascii' });
  fc.assert(
    fc.property(
      fc.array(piece, { maxLength: 8 }),
      fc.nat(8),
      fc.boolean(),
      fc.boolean(),
      fc.nat(3),
      (pieces, goesAt, firstSlow, secondSlow, atOnce) => {
        const { client, kept, settled } = scene(1000);
        const [first, second] = [new Reader(), new Reader()];
        first.slow = firstSlow;
        second.slow = secondSlow;
        kept.readBody(first);
        const whole = pieces.join('');
        const before = pieces.slice(0, goesAt);
        for (const one of before) {
          client.send(one);
          if (client.stopped) kept.resumeBody();
        }
        expect(kept.repeatable).toBe(true);
        kept.again();
        // What the listener had read already.
        client.send(...pieces.slice(goesAt, goesAt + atOnce));
        kept.readBody(second);
        for (const one of pieces.slice(goesAt + atOnce)) {
          for (let turns = 0; client.stopped && turns < 20; turns++) kept.resumeBody();
          expect(client.stopped).toBe(false);
          client.send(one);
        }
        client.sink?.onEnd(null);
        for (let turns = 0; second.ends === 0 && turns < 20; turns++) kept.resumeBody();
        expect([first.text, first.ends]).toEqual([before.join(''), 0]);
        expect([second.text, second.ends, second.aborts]).toEqual([whole, 1, []]);
        expect([settled, client.reads]).toEqual([[whole], 1]);
      },
    ),
  );
});

test('nothing is kept beyond the bound: the first reader goes on, there is no second', () => {
  const { client, kept, settled } = scene(5);
  const first = new Reader();
  kept.readBody(first);
  client.send('12345');
  expect([kept.repeatable, settled]).toEqual([true, []]);
  client.send('6', '789');
  expect([kept.repeatable, kept.overflown, settled]).toEqual([false, true, [null]]);
  client.sink?.onEnd(null);
  expect([first.text, first.ends, settled]).toEqual(['123456789', 1, [null]]);
});

test('before anybody has read, another reader is the first', () => {
  const { client, kept } = scene(0);
  kept.again();
  const reader = new Reader();
  kept.readBody(reader);
  expect(client.stopped).toBe(false);
  client.send('more than nothing');
  client.sink?.onEnd(null);
  expect([reader.text, reader.ends]).toEqual(['more than nothing', 1]);
});

test('a client that breaks off is told once, to the reader there is or the one that comes', () => {
  const here = scene(100);
  const first = new Reader();
  here.kept.readBody(first);
  here.client.send('a');
  here.client.sink?.onAbort('client-closed');
  here.kept.resumeBody();
  expect([first.aborts, here.kept.repeatable, here.settled]).toEqual([['client-closed'], false, [null]]);

  const between = scene(100);
  between.kept.readBody(new Reader());
  between.client.send('a');
  between.kept.again();
  between.client.sink?.onAbort('body-timeout');
  const second = new Reader();
  between.kept.readBody(second);
  between.kept.resumeBody();
  expect([second.text, second.aborts, second.ends]).toEqual(['a', ['body-timeout'], 0]);
});

test('an exchange that is over keeps nothing', () => {
  const { client, kept, settled } = scene(100);
  const reader = new Reader();
  kept.readBody(reader);
  client.send('half');
  kept.abandon();
  client.send(' rest');
  expect([reader.text, kept.repeatable, settled]).toEqual(['half rest', false, [null]]);
});

test('the bound is widened, not narrowed', () => {
  const exchange = memoryExchange('POST /', { downstream: new SteppedDownstream() });
  const kept = keepBody(exchange, 10);
  expect(keepBody(exchange, 3)).toBe(kept);
  expect(keepBody(exchange, 20)).toBe(kept);
  kept.readBody(new Reader());
  (exchange.downstream as KeptBody).onData(Buffer.alloc(20), null);
  expect(kept.repeatable).toBe(true);
});
