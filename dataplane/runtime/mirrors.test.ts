/** Copies of requests on real sockets: what they hold, and that the original does not feel them. */
import { once } from 'node:events';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ruleFixture } from '../snapshot/fixtures.ts';
import type { Action, Resource } from '../snapshot/resources.ts';
import type { MirrorConfig } from '../snapshot/shaping.ts';
import { MAX_MIRRORED } from '../upstream/mirrors.ts';
import { eventually, type SeeingBackend, ShapingScene } from './shaping.fixture.ts';

let scene: ShapingScene;
let main: SeeingBackend;
let shadow: SeeingBackend;
let parts: Resource[];

beforeEach(async () => {
  scene = await new ShapingScene().listen();
  const [one, two] = [await scene.backend('a/main'), await scene.backend('a/shadow')];
  [main, shadow] = [one.backend, two.backend];
  parts = [...one.parts, ...two.parts];
});

afterEach(async () => {
  await scene.close();
  expect(scene.errors).toEqual([]);
});

function rule(mirrors: readonly Partial<MirrorConfig>[], more: Partial<Extract<Action, { kind: 'forward' }>> = {}) {
  const all = mirrors.map((mirror) => ({
    backend: 'backend/a/shadow',
    perMillion: 1_000_000,
    bodyBytes: 1024,
    ...mirror,
  }));
  const action: Action = {
    kind: 'forward',
    backends: [{ weight: 1, backend: 'backend/a/main' }],
    mirrors: all,
    ...more,
  };
  return ruleFixture('a/r/x', { action });
}

const mirrored = () => scene.counts('mirrored');

test('a copy holds what the backend gets: method, path as rewritten, host, fields, body; marked, under the same request id', async () => {
  scene.configure(...parts, rule([{}], { rewrite: { path: { kind: 'prefix', value: '/v1' } } }));
  const headers = { host: 'shop.example', 'x-custom': 'yes', 'content-type': 'text/plain' };
  expect(await scene.send('POST', '/orders?x=1', headers, 'hello')).toMatchObject({ status: 200, body: 'a/main' });
  await eventually(() => mirrored()['a/shadow answered'] === 1);
  const { 'x-mirrored': mark, ...copied } = shadow.seen[0]?.headers ?? {};
  const { 'transfer-encoding': _, ...original } = main.seen[0]?.headers ?? {};
  expect(mark).toBe('1');
  expect(copied).toEqual({ ...original, 'content-length': '5' });
  expect(shadow.seen[0]).toMatchObject({ method: 'POST', url: '/v1/orders?x=1', body: 'hello' });
  expect(main.seen[0]).toMatchObject({ method: 'POST', url: '/v1/orders?x=1', body: 'hello' });
  // It is no request of its own to logs and metrics.
  expect(scene.finished.map(({ backend }) => backend)).toEqual(['a/main']);
});

test('without a body too, whatever the shadow answers; its connection is used again', async () => {
  shadow.answer = (_request, response) => {
    response.statusCode = 500;
    response.end('x'.repeat(100_000));
  };
  scene.configure(...parts, rule([{}]));
  for (let n = 1; n <= 3; n++) {
    expect(await scene.send('GET', `/${n}`)).toMatchObject({ status: 200, body: 'a/main' });
    await eventually(() => mirrored()['a/shadow answered'] === n);
  }
  expect([shadow.seen.length, shadow.connections]).toEqual([3, 1]);
});

test('each mirror gets its share', async () => {
  const other = await scene.backend('a/other');
  scene.configure(
    ...parts,
    ...other.parts,
    rule([{ perMillion: 500_000 }, { backend: 'backend/a/other', perMillion: 100 }]),
  );
  scene.draws = [0.499_999, 0.5, 0.5, 0.000_09, 0.9, 0.9];
  for (const path of ['/1', '/2', '/3']) await scene.send('GET', path);
  await eventually(() => shadow.seen.length + other.backend.seen.length === 2);
  expect(shadow.seen.map(({ url }) => url)).toEqual(['/1']);
  expect(other.backend.seen.map(({ url }) => url)).toEqual(['/2']);
  expect(main.seen).toHaveLength(3);
});

test('a shadow that accepts and never answers, one that resets, one that is not there: the original gets its answer', async () => {
  const hanging = await scene.raw('a/hanging');
  const resetting = await scene.raw('a/resetting', (socket) => socket.once('data', () => socket.resetAndDestroy()));
  const dead = scene.dead('a/dead');
  scene.configure(
    ...parts,
    ...hanging,
    ...resetting,
    ...dead,
    rule(['hanging', 'resetting', 'dead'].map((name) => ({ backend: `backend/a/${name}` }))),
  );
  for (let n = 0; n < 20; n++) {
    expect(await scene.send('POST', '/', {}, 'body')).toMatchObject({ status: 200, body: 'a/main' });
  }
  await eventually(() => mirrored()['a/resetting failed'] === 20 && mirrored()['a/dead failed'] === 20);
  // None of the hanging ones is over, and no original waited for one.
  expect(mirrored()).toEqual({ 'a/resetting failed': 20, 'a/dead failed': 20 });
});

test('when too many hang, the next are not sent, and counted', async () => {
  scene.configure(...parts, ...(await scene.raw('a/hanging')), rule([{ backend: 'backend/a/hanging' }]));
  for (let n = 0; n < MAX_MIRRORED + 5; n++) expect((await scene.send('GET', '/')).status).toBe(200);
  expect(mirrored()).toEqual({ 'a/hanging dropped': 5 });
});

test('a larger body is not copied, whether announced or not, and arrives at its backend whole', async () => {
  const other = await scene.backend('a/other');
  scene.configure(...parts, ...other.parts, rule([{}, { backend: 'backend/a/other', bodyBytes: 4096 }]));
  const body = 'x'.repeat(2000);
  await scene.send('POST', '/announced', { 'content-length': '2000' }, body);
  await scene.send('POST', '/chunked', { 'transfer-encoding': 'chunked' }, body);
  await scene.send('POST', '/huge', { 'transfer-encoding': 'chunked' }, 'x'.repeat(100_000));
  await eventually(() => other.backend.seen.length === 2);
  expect(main.seen.map((seen) => seen.body.length)).toEqual([2000, 2000, 100_000]);
  expect(other.backend.seen.map((seen) => [seen.url, seen.body.length])).toEqual([
    ['/announced', 2000],
    ['/chunked', 2000],
  ]);
  await eventually(() => mirrored()['a/other answered'] === 2);
  expect(mirrored()).toEqual({ 'a/shadow too-large': 3, 'a/other answered': 2, 'a/other too-large': 1 });
});

test('the body flows to the backend while it is copied: nothing waits for its end', async () => {
  const received: string[] = [];
  const raw = await scene.raw('a/main', (socket) => socket.on('data', (bytes) => received.push(bytes.toString())));
  scene.configure(...raw, ...parts.slice(2), rule([{}]));
  const request = scene.begin('POST', '/', { 'transfer-encoding': 'chunked' });
  request.write('first');
  await eventually(() => received.join('').includes('first'));
  expect(shadow.seen).toHaveLength(0);
  request.destroy();
  // The client left: half a request is no copy.
  await eventually(() => mirrored()['a/shadow incomplete'] === 1);
  expect(shadow.seen).toHaveLength(0);
});

test('an upgrade is not copied', async () => {
  const raw = await scene.raw('a/main', (socket) =>
    socket.once('data', () =>
      socket.write('HTTP/1.1 101 Switching Protocols\r\nupgrade: echo\r\nconnection: upgrade\r\n\r\n'),
    ),
  );
  scene.configure(...raw, ...parts.slice(2), rule([{}]));
  const request = scene.begin('GET', '/', { connection: 'upgrade', upgrade: 'echo' });
  request.end();
  const [, socket] = await once(request, 'upgrade');
  socket.destroy();
  await eventually(() => scene.finished.length === 1);
  expect([shadow.seen.length, mirrored()]).toEqual([0, {}]);
});

test('a mirror that is not there takes nothing from the rule, and works once it is', async () => {
  const [mainParts, shadowParts] = [parts.slice(0, 2), parts.slice(2)];
  const applied = scene.configure(...mainParts, rule([{}]));
  expect(applied).toMatchObject({ accepted: true, rejected: [] });
  expect((await scene.send('GET', '/1')).body).toBe('a/main');
  scene.configure(...mainParts, ...shadowParts, rule([{}]));
  expect((await scene.send('GET', '/2')).body).toBe('a/main');
  await eventually(() => shadow.seen.length === 1);
  expect(shadow.seen[0]?.url).toBe('/2');
  scene.configure(...mainParts, rule([{}]));
  expect((await scene.send('GET', '/3')).body).toBe('a/main');
  expect(shadow.seen).toHaveLength(1);
});
