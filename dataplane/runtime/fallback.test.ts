/** Fallbacks on real sockets that really fail: when a request goes elsewhere, with what body, and when it must not. */
import type net from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { policyFixture, ruleFixture } from '../snapshot/fixtures.ts';
import type { Action, BackendResource, Resource } from '../snapshot/resources.ts';
import { retrySettings } from '../snapshot/retry.ts';
import { type FallbackConfig, fallback as fallbackSchema } from '../snapshot/shaping.ts';
import { eventually, type SeeingBackend, ShapingScene } from './shaping.fixture.ts';

const ALL: FallbackConfig['on'] = ['unavailable', 'reset', 'timeout', 'status'];
const IDEMPOTENT = ['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE'];

let scene: ShapingScene;
let standby: SeeingBackend;
let spare: Resource[];

beforeEach(async () => {
  scene = await new ShapingScene().listen();
  const made = await scene.backend('a/standby');
  standby = made.backend;
  spare = made.parts;
});

afterEach(async () => {
  await scene.close();
  expect(scene.errors).toEqual([]);
});

function rule(fallback: Partial<FallbackConfig>, more: Parameters<typeof ruleFixture>[1] = {}) {
  const where = fallback.respond === undefined ? { backends: [{ weight: 1, backend: 'backend/a/standby' }] } : {};
  const action: Action = {
    kind: 'forward',
    backends: [{ weight: 1, backend: 'backend/a/main' }],
    fallback: fallbackSchema.parse({
      on: ALL,
      statuses: [503],
      methods: IDEMPOTENT,
      bodyBytes: 1024,
      ...where,
      ...fallback,
    }),
  };
  return ruleFixture('a/r/x', { action, ...more });
}

const RESPOND = { status: 200, contentType: 'text/plain', body: 'sorry' } as const;
const fellBack = () => scene.counts('fallbacks');

/** Reads the head, then does `then`. */
const afterHead = (then: (socket: net.Socket) => void) => (socket: net.Socket) => {
  let text = '';
  socket.on('data', (bytes) => {
    text += bytes;
    if (!text.includes('\r\n\r\n')) return;
    text = '';
    then(socket);
  });
};
const resets = afterHead((socket) => socket.resetAndDestroy());
const garbles = afterHead((socket) => socket.end('SMTP ready\r\n\r\n'));
const refuses = afterHead((socket) => socket.write('HTTP/1.1 503 Busy\r\ncontent-length: 4\r\n\r\nbusy'));

describe('another backend', () => {
  test.each([
    ['nobody listens', 'unavailable', () => scene.dead('a/main'), {}],
    ['it has no endpoint', 'unavailable', () => emptied(scene.dead('a/main')), {}],
    ['it resets', 'reset', () => scene.raw('a/main', resets), {}],
    ['it sends garbage', 'reset', () => scene.raw('a/main', garbles), {}],
    ['it never answers', 'timeout', () => scene.raw('a/main'), { timeouts: { backendMs: 100 } }],
    ['it answers one of the statuses', 'status', () => scene.raw('a/main', refuses), {}],
  ])('%s', async (_what, reason, main, more) => {
    scene.configure(...(await main()), ...spare, rule({}, more));
    expect(await scene.send('GET', '/x')).toMatchObject({ status: 200, body: 'a/standby' });
    expect(scene.finished[0]).toMatchObject({ status: 200, code: '', backend: 'a/standby', fallback: reason });
    expect(fellBack()).toEqual({ [`${reason} a/r`]: 1 });
  });

  test.each(ALL)('only for what is named: not for %s', async (reason) => {
    const main = {
      unavailable: () => scene.dead('a/main'),
      reset: () => scene.raw('a/main', resets),
      timeout: () => scene.raw('a/main'),
      status: () => scene.raw('a/main', refuses),
    }[reason];
    const on = ALL.filter((one) => one !== reason);
    scene.configure(...(await main()), ...spare, rule({ on }, { timeouts: { backendMs: 100 } }));
    expect((await scene.send('GET', '/')).status).toBeGreaterThanOrEqual(502);
    expect([standby.seen.length, scene.finished[0]?.backend]).toEqual([0, 'a/main']);
  });

  test('a good answer, and a bad one that is not named, come from the first', async () => {
    const main = await scene.backend('a/main', ({ url }, response) => {
      response.statusCode = url === '/404' ? 404 : 200;
      response.end('mine');
    });
    scene.configure(...main.parts, ...spare, rule({}));
    expect(await scene.send('GET', '/')).toMatchObject({ status: 200, body: 'mine' });
    expect(await scene.send('GET', '/404')).toMatchObject({ status: 404, body: 'mine' });
    expect(fellBack()).toEqual({});
  });

  test('it is asked once: what it says is passed on, nothing goes round', async () => {
    standby.answer = (_request, response) => {
      response.statusCode = 503;
      response.end('me too');
    };
    scene.configure(...(await scene.raw('a/main', refuses)), ...spare, rule({}));
    expect(await scene.send('GET', '/')).toMatchObject({ status: 503, body: 'me too' });
    scene.configure(...scene.dead('a/main'), ...scene.dead('a/standby'), rule({}));
    expect(JSON.parse((await scene.send('GET', '/')).body)).toMatchObject({ code: 'upstream-connect-failed' });
    expect([standby.seen.length, fellBack()]).toEqual([1, { 'status a/r': 1, 'unavailable a/r': 1 }]);
  });

  test('stages see one response, that of the fallback', async () => {
    const main = await scene.backend('a/main', (_request, response) => {
      response.statusCode = 503;
      response.setHeader('x-internal', 'of the first');
      response.end();
    });
    const edits = policyFixture('a/edits', {
      section: 'transform',
      response: { remove: [], set: [], add: [{ name: 'x-edited', value: 'once' }] },
    });
    scene.configure(...main.parts, ...spare, edits, rule({}, { policies: [edits.id] }));
    const { headers } = await scene.send('GET', '/');
    expect([headers['x-edited'], headers['x-internal']]).toEqual(['once', undefined]);
  });

  test('a method that may have done something goes nowhere else; where nothing was sent it does', async () => {
    scene.configure(...(await scene.raw('a/main', refuses)), ...spare, rule({}));
    expect(await scene.send('POST', '/', {}, 'pay')).toMatchObject({ status: 503, body: 'busy' });
    scene.configure(...(await scene.raw('a/main', refuses)), ...spare, rule({ methods: ['POST'] }));
    expect(await scene.send('POST', '/', {}, 'pay')).toMatchObject({ status: 200, body: 'a/standby' });
    scene.configure(...scene.dead('a/main'), ...spare, rule({}));
    expect(await scene.send('POST', '/', {}, 'pay')).toMatchObject({ status: 200, body: 'a/standby' });
    expect(standby.seen.map(({ body }) => body)).toEqual(['pay', 'pay']);
  });

  test('a body that was begun to be sent goes along whole, as long as it is kept', async () => {
    scene.configure(...(await scene.raw('a/main', refuses)), ...spare, rule({}));
    const fields = { 'transfer-encoding': 'chunked' };
    expect((await scene.send('PUT', '/kept', fields, 'x'.repeat(1024))).body).toBe('a/standby');
    expect((await scene.send('PUT', '/announced', {}, 'y'.repeat(500))).body).toBe('a/standby');
    expect(standby.seen.map(({ body }) => body)).toEqual(['x'.repeat(1024), 'y'.repeat(500)]);
    const reads = await scene.backend('a/main', (_request, response) => {
      response.statusCode = 503;
      response.end('read it all');
    });
    scene.configure(...reads.parts, ...spare, rule({}));
    expect(await scene.send('PUT', '/large', fields, 'x'.repeat(5000))).toMatchObject({ status: 503 });
    expect([standby.seen.length, reads.backend.seen[0]?.body.length]).toEqual([2, 5000]);
  });

  test('the rest of a body that still arrives goes to the fallback', async () => {
    scene.configure(...(await scene.raw('a/main', refuses)), ...spare, rule({}));
    const request = scene.begin('PUT', '/', { 'transfer-encoding': 'chunked' });
    request.write('first, ');
    await eventually(() => fellBack()['status a/r'] === 1);
    request.end('then the rest');
    await eventually(() => standby.seen.length === 1);
    expect(standby.seen[0]?.body).toBe('first, then the rest');
    await eventually(() => scene.finished.length === 1);
    expect(scene.finished[0]).toMatchObject({ status: 200, backend: 'a/standby' });
  });

  test('a client that leaves meanwhile is gone, once', async () => {
    scene.configure(...(await scene.raw('a/main', refuses)), ...(await scene.raw('a/standby')), rule({}));
    const request = scene.begin('GET', '/');
    request.end();
    await eventually(() => fellBack()['status a/r'] === 1);
    request.socket?.resetAndDestroy();
    await eventually(() => scene.finished.length === 1);
    expect(scene.finished[0]).toMatchObject({ status: 499, code: 'client-closed' });
  });

  test('a breaker that is open, and a backend that is full, are unavailable: it is not asked at all', async () => {
    let asked = 0;
    const parts = await scene.raw(
      'a/main',
      afterHead((socket) => {
        asked++;
        socket.write('HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n');
      }),
    );
    const endpoint = { ...QUIET_CIRCUIT, consecutiveFailures: 1 };
    scene.configure(...changed(parts, { breaker: { endpoint } }), ...spare, rule({ on: ['unavailable'] }));
    expect((await scene.send('GET', '/')).status).toBe(500);
    for (let n = 0; n < 3; n++) expect((await scene.send('POST', '/', {}, 'x')).body).toBe('a/standby');
    expect([asked, fellBack()]).toEqual([1, { 'unavailable a/r': 3 }]);

    const full = await scene.raw('a/main');
    const pool = { maxConnections: 1, maxPending: 0, idleTimeoutMs: 1000 };
    scene.configure(...changed(full, { pool }), ...spare, rule({ on: ['unavailable'] }));
    const waiting = scene.begin('GET', '/');
    waiting.end();
    await eventually(() => scene.runtime.pipeline.inFlight === 1);
    expect((await scene.send('POST', '/', {}, 'x')).body).toBe('a/standby');
    waiting.destroy();
  });

  test('the time of the whole request counts for both', async () => {
    const timeouts = { requestMs: 150 };
    scene.configure(...(await scene.raw('a/main')), ...spare, rule({}, { timeouts }));
    expect(JSON.parse((await scene.send('GET', '/')).body)).toMatchObject({ code: 'request-timeout' });
    expect(standby.seen).toHaveLength(0);
  });

  test('where it is not there, the first answer stands; once it is, it is used', async () => {
    const main = await scene.raw('a/main', refuses);
    expect(scene.configure(...main, rule({}))).toMatchObject({ accepted: true, rejected: [] });
    expect((await scene.send('GET', '/')).status).toBe(503);
    scene.configure(...main, ...spare, rule({}));
    expect((await scene.send('GET', '/')).body).toBe('a/standby');
  });
});

describe('an answer', () => {
  test.each([
    ['unavailable', () => scene.dead('a/main'), {}],
    ['reset', () => scene.raw('a/main', resets), {}],
    ['timeout', () => scene.raw('a/main'), { timeouts: { backendMs: 100 } }],
    ['timeout', () => scene.raw('a/main'), { timeouts: { requestMs: 100 } }],
    ['status', () => scene.raw('a/main', refuses), {}],
  ])('%s', async (reason, main, more) => {
    scene.configure(...(await main()), rule({ respond: RESPOND }, more));
    // For any method, with any body.
    expect(await scene.send('POST', '/', {}, 'x'.repeat(5000))).toMatchObject({ status: 200, body: 'sorry' });
    expect(scene.finished[0]).toMatchObject({ status: 200, code: '', backend: 'a/main', fallback: reason });
  });

  test('a backend that could not even be resolved is unavailable', async () => {
    const fail = { status: 500, code: 'backend-not-found', message: 'no' };
    const failing = { ...rule({ respond: RESPOND }).action, backends: [{ weight: 1, fail }] } as Action;
    scene.configure(ruleFixture('a/r/x', { action: failing }));
    expect(await scene.send('GET', '/')).toMatchObject({ status: 200, body: 'sorry' });
  });
});

test('a copy is made of what then falls back, with its body', async () => {
  const shadow = await scene.backend('a/shadow');
  const { action } = rule({});
  const mirrors = [{ backend: 'backend/a/shadow', perMillion: 1_000_000, bodyBytes: 10 }];
  scene.configure(
    ...(await scene.raw('a/main', refuses)),
    ...spare,
    ...shadow.parts,
    ruleFixture('a/r/x', { action: { ...action, mirrors } as Action }),
  );
  expect((await scene.send('PUT', '/', {}, 'short')).body).toBe('a/standby');
  expect((await scene.send('PUT', '/', {}, 'more than ten')).body).toBe('a/standby');
  await eventually(() => scene.counts('mirrored')['a/shadow answered'] === 1);
  expect(shadow.backend.seen.map(({ body }) => body)).toEqual(['short']);
  expect(scene.counts('mirrored')).toEqual({ 'a/shadow answered': 1, 'a/shadow too-large': 1 });
});

test.each([
  ['kept', 1000],
  ['in many frames', 200_000],
])('over HTTP/2, with a body that is %s, and copied', async (_what, length) => {
  const shadow = await scene.backend('a/shadow');
  const { action } = rule({ bodyBytes: 1_000_000 });
  const mirrors = [{ backend: 'backend/a/shadow', perMillion: 1_000_000, bodyBytes: 1_000_000 }];
  scene.configure(
    ...(await scene.raw('a/main', refuses)),
    ...spare,
    ...shadow.parts,
    ruleFixture('a/r/x', { action: { ...action, mirrors } as Action }),
  );
  const body = 'x'.repeat(length);
  expect(await scene.sendH2('PUT', '/', body)).toMatchObject({ status: 200, body: 'a/standby' });
  await eventually(() => scene.counts('mirrored')['a/shadow answered'] === 1);
  expect([standby.seen[0]?.body === body, shadow.backend.seen[0]?.body === body]).toEqual([true, true]);
});

test('retries come first: it falls back once they are used up, with the whole body; one copy is made', async () => {
  const shadow = await scene.backend('a/shadow');
  let attempts = 0;
  const main = await scene.raw(
    'a/main',
    afterHead((socket) => {
      attempts++;
      socket.resetAndDestroy();
    }),
  );
  const { action } = rule({ on: ['reset'] });
  const mirrors = [{ backend: 'backend/a/shadow', perMillion: 1_000_000, bodyBytes: 1024 }];
  const retry = {
    attempts: 2,
    on: ['reset'],
    statuses: [],
    methods: IDEMPOTENT,
    budget: { percent: 100, minPerSecond: 1000 },
    backoff: { baseMs: 1, maxMs: 1 },
    maxRetryAfterMs: 0,
    bodyBytes: 1024,
  };
  scene.configure(
    ...main,
    ...spare,
    ...shadow.parts,
    ruleFixture('a/r/x', { action: { ...action, mirrors } as Action, retry: retrySettings.parse(retry) }),
  );
  const body = 'x'.repeat(1000);
  expect(await scene.send('PUT', '/', { 'transfer-encoding': 'chunked' }, body)).toMatchObject({ body: 'a/standby' });
  expect([attempts, standby.seen[0]?.body, fellBack()]).toEqual([3, body, { 'reset a/r': 1 }]);
  await eventually(() => scene.counts('mirrored')['a/shadow answered'] === 1);
  expect(shadow.backend.seen.map((seen) => seen.body)).toEqual([body]);
});

const QUIET_CIRCUIT = {
  errorThresholdPercentage: 100,
  volumeThreshold: 1000,
  rollingCountTimeoutMs: 10_000,
  rollingCountBuckets: 10,
  resetTimeoutMs: 60_000,
  halfOpenRequests: 1,
};

function changed(parts: Resource[], more: Partial<BackendResource>): Resource[] {
  return parts.map((part) => (part.kind === 'backend' ? { ...part, ...more } : part));
}

function emptied(parts: Resource[]): Resource[] {
  return parts.map((part) => (part.kind === 'endpoints' ? { ...part, endpoints: [] } : part));
}
