import { describe, expect, test } from 'vitest';
import { ruleFixture } from '../snapshot/fixtures.ts';
import type { CompiledRule, Generation, Outcome, Stage, Terminal } from './chain.ts';
import { type Answer, type Exchange, NO_BODY } from './exchange.ts';
import { Headers } from './headers.ts';
import { MemoryDownstream, memoryExchange } from './memory-downstream.ts';
import { Pipeline } from './run.ts';

/** One rule for every request; what happens is kept in `events`. */
class Bench {
  readonly events: string[] = [];
  readonly finished: Exchange[] = [];
  readonly errors: string[] = [];
  readonly timers: { run: () => void; delayMs: number; cancelled: boolean }[] = [];
  nowMs = 100;
  retained = 0;
  configured = true;
  rule: CompiledRule | null = null;
  readonly pipeline: Pipeline;
  readonly generation: Generation;

  constructor(trustRequestId = false) {
    this.pipeline = new Pipeline({
      newRequestId: () => 'made-here',
      trustRequestId,
      onFinish: (exchange) => this.finished.push(exchange),
      logError: (message, exchange) => this.errors.push(`${message} ${exchange.requestId}`),
      now: () => this.nowMs,
      setTimer: (run, delayMs) => {
        const timer = { run, delayMs, cancelled: false };
        this.timers.push(timer);
        return () => {
          timer.cancelled = true;
        };
      },
    });
    const bench = this;
    this.generation = {
      get configured() {
        return bench.configured;
      },
      match: () => (this.rule === null ? null : { target: { rule: this.rule }, matchedPrefix: '/p' }),
      retain: () => this.retained++,
      release: () => this.retained--,
    };
  }

  use(stages: Stage[], terminal: Terminal = this.answering(200, 'ok'), requestTimeoutMs = 0): void {
    const resource = ruleFixture('a/b/c');
    this.rule = {
      id: resource.id,
      hash: '',
      resource,
      request: stages.flatMap((stage) => stage.onRequest ?? []),
      response: stages.toReversed().flatMap((stage) => stage.onResponse ?? []),
      finish: stages.flatMap((stage) => stage.onFinish ?? []),
      terminal,
      requestTimeoutMs,
      backendTimeoutMs: 0,
      idleTimeoutMs: 0,
      streamIdleTimeoutMs: 0,
      share: null,
    };
  }

  stage(name: string, outcome?: () => Outcome | Promise<Outcome>, onResponse?: () => void | Promise<void>): Stage {
    return {
      name,
      onRequest: () => {
        this.events.push(`${name}>`);
        return outcome?.();
      },
      onResponse: () => {
        this.events.push(`<${name}`);
        return onResponse?.();
      },
    };
  }

  answering(status: number, body: string | null): Terminal {
    return (exchange) => {
      this.events.push('terminal');
      this.pipeline.reply(exchange, { status, code: '', headers: new Headers(), body });
    };
  }

  send(line = 'GET /p/q', fields: string[] = []): { exchange: Exchange; downstream: MemoryDownstream } {
    const downstream = new MemoryDownstream();
    const exchange = memoryExchange(line, { fields, downstream });
    this.pipeline.handle(exchange, this.generation);
    return { exchange, downstream };
  }

  /** One response, one finish, nothing held. */
  expectOver(downstream: MemoryDownstream, status: number): void {
    expect(downstream.status).toBe(status);
    expect([downstream.heads, downstream.ended, downstream.aborted]).toEqual([1, 1, 0]);
    expect(this.finished).toHaveLength(1);
    expect(this.pipeline.inFlight).toBe(0);
    expect(this.retained).toBe(0);
    expect(downstream.onClose).toBeNull();
  }
}

const teapot = (): Answer => ({ status: 418, code: 'teapot', headers: new Headers(), body: 'short' });
const settle = () => new Promise((resolve) => setImmediate(resolve));

test('handlers run in order, then the terminal, then the response handlers in reverse', () => {
  const bench = new Bench();
  bench.use([bench.stage('a'), bench.stage('b')]);
  const { exchange, downstream } = bench.send();
  expect(bench.events).toEqual(['a>', 'b>', 'terminal', '<b', '<a']);
  bench.expectOver(downstream, 200);
  expect(downstream.body).toBe('ok');
  expect(exchange.matchedPrefix).toBe('/p');
  expect(exchange.headers.get('x-request-id')).toBe('made-here');
  expect(downstream.headers?.get('x-request-id')).toBe('made-here');
  expect(bench.pipeline.total).toBe(1);
});

test('a stage that waits is waited for; what follows goes on in order', async () => {
  const bench = new Bench();
  const later = async () => undefined;
  bench.use([bench.stage('a', later, async () => {}), bench.stage('b'), bench.stage('c', later, async () => {})]);
  const { downstream } = bench.send();
  expect(bench.events).toEqual(['a>']);
  expect(downstream.heads).toBe(0);
  expect(bench.retained).toBe(1);
  await settle();
  expect(bench.events).toEqual(['a>', 'b>', 'c>', 'terminal', '<c', '<b', '<a']);
  bench.expectOver(downstream, 200);
});

test.each([
  ['at once', () => teapot()],
  ['after a wait', async () => teapot()],
])('a stage that answers %s ends the request phase', async (_when, outcome) => {
  const bench = new Bench();
  bench.use([bench.stage('a', outcome), bench.stage('b')]);
  const { exchange, downstream } = bench.send();
  await settle();
  expect(bench.events).toEqual(['a>', '<b', '<a']);
  bench.expectOver(downstream, 418);
  expect(exchange.code).toBe('teapot');
});

describe.each([
  [
    'throws',
    () => {
      throw new Error('secret internals');
    },
  ],
  ['rejects', () => Promise.reject(new Error('secret internals'))],
])('what %s ends in one 500 problem', (_how, broken) => {
  test.each([
    ['a request handler', (bench: Bench) => bench.use([bench.stage('a', broken)])],
    ['a response handler', (bench: Bench) => bench.use([bench.stage('a', undefined, broken)])],
    ['a response handler after an answer', (bench: Bench) => bench.use([bench.stage('a', teapot, broken)])],
  ])('%s', async (_where, prepare) => {
    const bench = new Bench();
    prepare(bench);
    const { exchange, downstream } = bench.send();
    await settle();
    bench.expectOver(downstream, 500);
    expect(exchange.code).toBe('internal-error');
    expect(JSON.parse(downstream.body)).toMatchObject({ status: 500, code: 'internal-error', requestId: 'made-here' });
    expect(downstream.body).not.toContain('secret');
    expect(bench.errors).toEqual([expect.stringContaining('made-here')]);
  });
});

test('a terminal that throws is a 500 before the head, and breaks off after it', () => {
  const bench = new Bench();
  bench.use([], () => {
    throw new Error('x');
  });
  bench.expectOver(bench.send().downstream, 500);
  const late = new Bench();
  late.use([], (exchange) => {
    late.pipeline.respond(exchange, {
      proceed: () => exchange.downstream.writeHead(200, new Headers(), 5),
      discard: () => {},
    });
    throw new Error('x');
  });
  const { downstream } = late.send();
  expect([downstream.heads, downstream.ended, downstream.aborted]).toEqual([1, 0, 1]);
  expect(late.finished).toHaveLength(1);
});

test('routing that throws is a 500 too', () => {
  const bench = new Bench();
  bench.generation.match = () => {
    throw new Error('x');
  };
  bench.expectOver(bench.send().downstream, 500);
});

test('no route: 404; 503 as long as there is no configuration', () => {
  const bench = new Bench();
  const { downstream } = bench.send();
  bench.expectOver(downstream, 404);
  expect(downstream.headers?.get('content-type')).toBe('application/problem+json');
  expect(JSON.parse(downstream.body)).toEqual({
    type: 'about:blank',
    title: 'Not Found',
    status: 404,
    code: 'no-route',
    detail: 'No route matches this request.',
    requestId: 'made-here',
  });
  const early = new Bench();
  early.configured = false;
  early.expectOver(early.send().downstream, 503);
});

test('a second answer is logged and changes nothing', () => {
  const bench = new Bench();
  bench.use([], (exchange) => {
    bench.pipeline.answer(exchange, 503, 'no-endpoint', 'None.');
    bench.pipeline.answer(exchange, 502, 'upstream-reset', 'Again.');
    bench.pipeline.finish(exchange);
  });
  bench.expectOver(bench.send().downstream, 503);
  expect(bench.errors).toHaveLength(2);
});

test('HEAD gets the length and no body; 204 and 304 have neither', () => {
  const bench = new Bench();
  bench.use([]);
  const head = bench.send('HEAD /').downstream;
  expect([head.length, head.body, head.ended]).toEqual([2, '', 1]);
  for (const status of [204, 304]) {
    bench.use([], bench.answering(status, 'never'));
    const { downstream } = bench.send();
    expect([downstream.length, downstream.body]).toEqual([NO_BODY, '']);
  }
  bench.use([], bench.answering(200, null));
  expect(bench.send().downstream.length).toBe(0);
});

describe('while a stage waits', () => {
  const hanging = () => {
    let release: (outcome: Outcome) => void = () => {};
    const waiting = new Promise<Outcome>((resolve) => {
      release = resolve;
    });
    return { waiting, release: (outcome: Outcome) => release(outcome) };
  };

  test('the client may leave: 499, and the stage is not heard any more', async () => {
    const bench = new Bench();
    const { waiting, release } = hanging();
    bench.use([bench.stage('a', () => waiting)]);
    const { exchange, downstream } = bench.send();
    downstream.onClose?.();
    expect([exchange.status, exchange.code, bench.finished.length, bench.retained]).toEqual([
      499,
      'client-closed',
      1,
      0,
    ]);
    release(undefined);
    await settle();
    expect(bench.events).toEqual(['a>']);
    expect([downstream.heads, bench.finished.length]).toEqual([0, 1]);
  });

  test('the request time-out counts from the first byte', async () => {
    const bench = new Bench();
    const { waiting, release } = hanging();
    bench.use([bench.stage('a', () => waiting)], undefined, 250);
    const { downstream } = bench.send();
    expect(bench.timers.map((timer) => timer.delayMs)).toEqual([150]);
    bench.timers[0]?.run();
    bench.expectOver(downstream, 504);
    release(undefined);
    await settle();
    bench.expectOver(downstream, 504);
  });

  test('the timer is cancelled when the stage is done', async () => {
    const bench = new Bench();
    bench.use([bench.stage('a', async () => undefined)], undefined, 250);
    const { downstream } = bench.send();
    await settle();
    expect(bench.timers[0]?.cancelled).toBe(true);
    bench.expectOver(downstream, 200);
  });
});

describe("a backend's response", () => {
  function respond(bench: Bench, onResponse: () => void | Promise<void>) {
    const calls: string[] = [];
    bench.use([bench.stage('a', undefined, onResponse)], (exchange) => {
      exchange.status = 200;
      exchange.responseHeaders = new Headers(['server', 'backend']);
      bench.pipeline.respond(exchange, {
        proceed: () => {
          calls.push('proceed');
          exchange.downstream.writeHead(exchange.status, exchange.responseHeaders as Headers, 0);
          exchange.downstream.end(null);
          bench.pipeline.finish(exchange);
        },
        discard: () => calls.push('discard'),
      });
    });
    return calls;
  }

  test.each([
    ['synchronous', () => {}],
    ['waiting', async () => {}],
  ])('goes on after %s handlers', async (_how, handler) => {
    const bench = new Bench();
    const calls = respond(bench, handler);
    const { downstream } = bench.send();
    await settle();
    expect(calls).toEqual(['proceed']);
    bench.expectOver(downstream, 200);
    expect(downstream.headers?.fields).toEqual(['server', 'backend', 'x-request-id', 'made-here']);
  });

  test.each([
    [
      'throws',
      () => {
        throw new Error('x');
      },
    ],
    ['rejects', () => Promise.reject(new Error('x'))],
  ])('is thrown away when a handler %s', async (_how, handler) => {
    const bench = new Bench();
    const calls = respond(bench, handler);
    const { downstream } = bench.send();
    await settle();
    expect(calls).toEqual(['discard']);
    bench.expectOver(downstream, 500);
    expect(downstream.headers?.has('server')).toBe(false);
  });

  test('is dropped when the client left while a handler waited', async () => {
    const bench = new Bench();
    const calls = respond(bench, async () => {});
    const { exchange, downstream } = bench.send();
    bench.pipeline.finish(exchange);
    await settle();
    expect(calls).toEqual([]);
    expect([downstream.heads, bench.finished.length, bench.errors]).toEqual([0, 1, []]);
  });
});

test('an inbound request id is taken only where hops are trusted, and only well-formed', () => {
  const ids = (trusted: boolean, inbound: string) => {
    const bench = new Bench(trusted);
    bench.use([]);
    const { exchange, downstream } = bench.send('GET /', ['x-request-id', inbound]);
    expect(exchange.headers.getCombined('x-request-id')).toBe(exchange.requestId);
    return downstream.headers?.get('x-request-id');
  };
  expect(ids(false, 'theirs')).toBe('made-here');
  expect(ids(true, 'theirs')).toBe('theirs');
  expect(ids(true, 'a b"}')).toBe('made-here');
  expect(ids(true, 'x'.repeat(129))).toBe('made-here');
});

test('an onFinish that throws is logged and harms nothing', () => {
  const bench = new Bench();
  bench.use([]);
  bench.finished.push = () => {
    throw new Error('x');
  };
  const { downstream } = bench.send();
  expect(downstream.ended).toBe(1);
  expect([bench.retained, bench.pipeline.inFlight, bench.errors.length]).toEqual([0, 0, 1]);
});

describe('a stage that wants to know when it is over', () => {
  const noting = (bench: Bench, finish = () => {}): Stage => ({
    name: 'noting',
    onFinish: (exchange) => {
      bench.events.push(`over ${exchange.status}`);
      finish();
    },
  });

  test.each<[string, (bench: Bench) => void, number]>([
    ['a backend or a terminal answered', (bench) => bench.use([noting(bench)]), 200],
    ['a stage before it answered', (bench) => bench.use([bench.stage('a', teapot), noting(bench)]), 418],
    [
      'a stage failed',
      (bench) => bench.use([noting(bench), bench.stage('a', () => Promise.reject(new Error('x')))]),
      500,
    ],
  ])('is told once, where %s', async (_where, prepare, status) => {
    const bench = new Bench();
    prepare(bench);
    const { downstream } = bench.send();
    await settle();
    bench.expectOver(downstream, status);
    expect(bench.events.filter((event) => event.startsWith('over'))).toEqual([`over ${status}`]);
  });

  test('is told where the client left while another one waited', () => {
    const bench = new Bench();
    bench.use([noting(bench), bench.stage('a', () => new Promise(() => {}))]);
    bench.send().downstream.onClose?.();
    expect(bench.events).toEqual(['a>', 'over 499']);
  });

  test('and throws: that is logged, and the others are told', () => {
    const bench = new Bench();
    const throwing = noting(bench, () => {
      throw new Error('x');
    });
    bench.use([throwing, noting(bench)]);
    bench.expectOver(bench.send().downstream, 200);
    expect(bench.events.slice(-2)).toEqual(['over 200', 'over 200']);
    expect(bench.errors).toHaveLength(1);
  });
});
