import { describe, expect, test } from 'vitest';
import type { Decision, Limiter, LimiterOptions, LimitStore } from '../../limit/store.ts';
import { newDecision } from '../../limit/store.ts';
import { rateLimitSection } from '../../snapshot/sections/rate-limit.ts';
import { StageError } from '../stage-error.ts';
import { type LimitInput, perSecond, RateLimitScene as Scene } from './scene.fixture.ts';
import { createRateLimit } from './stage.ts';

describe('a limit', () => {
  test('admits so many, then answers 429 with what the client needs to know', async () => {
    const scene = new Scene([perSecond()]);
    const first = scene.exchange();
    expect(await scene.ask(first)).toBeUndefined();
    expect(scene.respond(first).fields).toEqual([
      'ratelimit-policy',
      '"per-client";q=2;w=1',
      'ratelimit',
      '"per-client";r=1;t=1',
    ]);
    expect(await scene.ask()).toBeUndefined();
    scene.fixture.now += 100;
    const third = scene.exchange();
    const refused = await scene.ask(third);
    expect(refused).toMatchObject({ status: 429, code: 'rate-limited' });
    expect(refused?.headers.get('retry-after')).toBe('1');
    expect(JSON.parse(refused?.body as string).detail).toBe('Too many requests: the limit "per-client" is reached.');
    expect(scene.respond(third).get('ratelimit')).toBe('"per-client";r=0;t=1');
    expect(await scene.ask(scene.exchange('192.0.2.2'))).toBeUndefined();
    expect(scene.counts()).toEqual({ 'per-client allowed': 3, 'per-client refused': 1 });
  });

  test('says beside the fields of the backend what it has to say itself, or nothing', async () => {
    const scene = new Scene([perSecond()]);
    const exchange = scene.exchange();
    await scene.ask(exchange);
    expect(scene.respond(exchange, ['ratelimit', '"backend";r=9']).getCombined('ratelimit')).toBe(
      '"backend";r=9, "per-client";r=1;t=1',
    );
    expect(scene.respond(scene.exchange(), ['x', 'y']).fields).toEqual(['x', 'y']);
    const quiet = new Scene([perSecond()], null, { responseFields: false });
    expect(quiet.stage.onResponse).toBeUndefined();
  });

  test('in dry run counts and says so in the log, refuses nobody, and is not told', async () => {
    const scene = new Scene([perSecond({ dryRun: true, limit: 1 })]);
    const [one, two] = [scene.exchange(), scene.exchange()];
    expect(await scene.ask(one)).toBeUndefined();
    expect(await scene.ask(two)).toBeUndefined();
    expect([one.wouldRefuse, two.wouldRefuse]).toEqual(['', 'rate-limited']);
    expect(scene.respond(two).fields).toEqual([]);
    expect(scene.counts()).toEqual({ 'per-client allowed': 1, 'per-client dry_run': 1 });
  });

  test('a policy made anew goes on where it was; another window starts again', async () => {
    const scene = new Scene([perSecond({ limit: 2 })]);
    await scene.ask();
    await scene.ask();
    const edited = rateLimitSection.parse({
      section: 'rateLimit',
      limits: [perSecond({ limit: 3, overrides: [{ consumers: ['a'], limit: 9 }] })],
    });
    const again = createRateLimit(edited, scene.context);
    expect(again.onRequest?.(scene.exchange())).toBeUndefined();
    expect(again.onRequest?.(scene.exchange())).toMatchObject({ status: 429 });
    const other = rateLimitSection.parse({ section: 'rateLimit', limits: [perSecond({ windowMs: 2_000 })] });
    expect(createRateLimit(other, scene.context).onRequest?.(scene.exchange())).toBeUndefined();
  });
});

describe('several limits', () => {
  const two = [perSecond({ limit: 5 }), perSecond({ name: 'all', limit: 3, windowMs: 60_000, key: [] })];

  test('all must admit, and what the first took is given back where the second refuses', async () => {
    const scene = new Scene(two);
    for (let i = 0; i < 3; i++) expect(await scene.ask()).toBeUndefined();
    const exchange = scene.exchange();
    for (let i = 0; i < 10; i++) expect(await scene.ask(i === 0 ? exchange : undefined)).toMatchObject({ status: 429 });
    expect(scene.respond(exchange).get('ratelimit')).toBe('"per-client";r=1;t=1, "all";r=0;t=59');
    expect(scene.respond(exchange).get('ratelimit-policy')).toBe('"per-client";q=5;w=1, "all";q=3;w=60');
    const only = new Scene([two[0] as LimitInput]);
    const { memory } = only.context.services.limits;
    expect(memory).toBeDefined();
    const decision = newDecision();
    const options: LimiterOptions = {
      scope: 'policy/a/b/rateLimit per-client fixedWindow 1000',
      ...{ algorithm: 'fixedWindow', limit: 5, windowMs: 1_000, burst: 5, global: false, mode: 'exact' },
    };
    scene.context.services.limits.memory.open(options).take('192.0.2.1', 0, decision);
    expect(decision.remaining).toBe(2);
  });
});

describe('requests in flight', () => {
  const inFlight = { name: 'flight', algorithm: 'concurrency', limit: 1 };

  test('one that is over makes room, however it ended, and only once', async () => {
    const scene = new Scene([inFlight]);
    const [one, two, three] = [scene.exchange(), scene.exchange(), scene.exchange()];
    expect(await scene.ask(one)).toBeUndefined();
    const refused = await scene.ask(two);
    expect(refused).toMatchObject({ status: 429, code: 'concurrency-limited' });
    expect(refused?.headers.get('retry-after')).toBe('1');
    expect(scene.respond(two).fields).toEqual([
      'ratelimit-policy',
      '"flight";q=1;qu="concurrent-requests"',
      'ratelimit',
      '"flight";r=0',
    ]);
    scene.stage.onFinish?.(two);
    expect(await scene.ask(two)).toMatchObject({ status: 429 });
    scene.stage.onFinish?.(one);
    expect(await scene.ask(three)).toBeUndefined();
    scene.stage.onFinish?.(three);
    scene.stage.onFinish?.(scene.exchange());
  });

  test('is given back where a later limit refuses', async () => {
    const scene = new Scene([inFlight, perSecond({ limit: 1 })]);
    const [one, two] = [scene.exchange(), scene.exchange()];
    await scene.ask(one);
    scene.stage.onFinish?.(one);
    expect(await scene.ask(two)).toMatchObject({ code: 'rate-limited' });
    scene.stage.onFinish?.(two);
    scene.fixture.now += 1_000;
    expect(await scene.ask()).toBeUndefined();
  });
});

describe('a store that fails', () => {
  /** Answers when it is told, and then what it is told. */
  class LateStore implements LimitStore {
    readonly waiting: ((outcome: 'admitted' | 'failed') => void)[] = [];
    givenBack = 0;
    open(_options: LimiterOptions): Limiter {
      return {
        take: (_key: string, _cost: number, decision: Decision) =>
          new Promise<void>((resolve) => {
            this.waiting.push((outcome) => {
              Object.assign(decision, {
                admitted: outcome === 'admitted',
                failed: outcome === 'failed',
                remaining: 7,
                resetMs: 500,
                retryMs: 0,
              });
              resolve();
            });
          }),
        giveBack: () => {
          this.givenBack++;
        },
        charge: () => {},
      };
    }
  }
  const shared = (more: LimitInput): LimitInput => perSecond({ store: 'redis', scope: 'global', limit: 1, ...more });
  const asked = (scene: Scene, store: LateStore, outcome: 'admitted' | 'failed', exchange = scene.exchange()) => {
    const answer = scene.ask(exchange);
    store.waiting.pop()?.(outcome);
    return answer;
  };

  test('allow: on it goes, without the limit', async () => {
    const store = new LateStore();
    const scene = new Scene([shared({ onStoreFailure: 'allow' })], store);
    for (let i = 0; i < 3; i++) expect(await asked(scene, store, 'failed')).toBeUndefined();
    expect(scene.counts()).toEqual({ 'per-client store_failed': 3 });
  });

  test('deny: 503, and what other limits took is given back', async () => {
    const store = new LateStore();
    const scene = new Scene([perSecond({ name: 'own', limit: 1 }), shared({ onStoreFailure: 'deny' })], store);
    for (let i = 0; i < 3; i++) {
      expect(await asked(scene, store, 'failed')).toMatchObject({ status: 503, code: 'rate-limit-unavailable' });
    }
    expect(scene.counts()).toEqual({ 'own allowed': 3, 'per-client store_failed': 3 });
  });

  test('local: by the share of this data plane meanwhile', async () => {
    const store = new LateStore();
    const scene = new Scene([shared({ limit: 4 })], store);
    scene.fixture.share({ place: 0, of: 2 });
    expect(await asked(scene, store, 'failed')).toBeUndefined();
    expect(await asked(scene, store, 'failed')).toBeUndefined();
    expect(await asked(scene, store, 'failed')).toMatchObject({ status: 429 });
    expect(await asked(scene, store, 'admitted')).toBeUndefined();
    expect(scene.counts()).toMatchObject({ 'per-client store_failed': 3, 'per-client refused': 1 });
  });
});

test('explain looks without taking', async () => {
  const scene = new Scene([perSecond({ limit: 1 }), { name: 'flight', algorithm: 'concurrency', limit: 3 }]);
  for (let i = 0; i < 3; i++) {
    expect(await scene.stage.explain?.(scene.exchange())).toEqual({
      text: 'per-client: 1 left; flight: 3 left',
      answer: null,
    });
  }
  await scene.ask();
  expect(await scene.stage.explain?.(scene.exchange())).toEqual({
    text: 'per-client: 0 left; flight: 2 left',
    answer: { status: 429, code: 'rate-limited' },
  });
});

describe('can not be built', () => {
  test.each<[string, LimitInput[]]>([
    ['limits[0].windowMs: must be set', [perSecond({ windowMs: undefined })]],
    ['limits[0].windowMs: concurrency has no window', [perSecond({ algorithm: 'concurrency' })]],
    ['limits[0].burst: only a token bucket has one', [perSecond({ burst: 3 })]],
    [
      'limits[0].overrides[1].burst: only a token bucket',
      [
        perSecond({
          overrides: [
            { consumers: ['a'], limit: 1 },
            { limit: 1, burst: 2 },
          ],
        }),
      ],
    ],
    [
      'limits[0].cost: each request in flight',
      [{ name: 'a', algorithm: 'concurrency', limit: 1, cost: { from: 'fixed', amount: 2 } }],
    ],
    ['limits[0].cost.amount: above 2', [perSecond({ cost: { from: 'fixed', amount: 3 } })]],
    ['limits[0].scope: a limit in Redis is global', [perSecond({ store: 'redis' })]],
    [
      'limits[0].store: requests in flight are not counted in Redis',
      [{ name: 'a', algorithm: 'concurrency', limit: 1, store: 'redis', scope: 'global' }],
    ],
    [
      'limits[0].store: this data plane has no Redis: set TIDEGATE_REDIS_URL',
      [perSecond({ store: 'redis', scope: 'global' })],
    ],
    ['limits[1].name: a second limit called per-client', [perSecond(), perSecond()]],
  ])('%s', (message, limits) => {
    expect(() => new Scene(limits)).toThrow(StageError);
    expect(() => new Scene(limits)).toThrow(message);
  });
});
