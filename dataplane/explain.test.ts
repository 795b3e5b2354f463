/** /debug/explain of the whole program: the answer is what the request then gets. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Explanation } from './snapshot/explain.ts';
import { matchFixture, respondFixture, ruleFixture } from './snapshot/fixtures.ts';
import { TestSnapshot } from './sync/test-controller.ts';
import { proxied, publish, Scene } from './test-scene.ts';

let scene: Scene;
beforeEach(() => {
  scene = new Scene();
});
afterEach(() => scene.end());

test('asked over the admin port, answered by a worker, with nothing sent to a backend', async () => {
  let requests = 0;
  const backend = await scene.backend((_request, response) => {
    requests++;
    response.end('backend');
  });
  const controller = await scene.controller();
  const dataplane = scene.dataplane(controller.address, { TIDEGATE_TRUSTED_HOPS: '1' });
  const stream = await controller.streams.next();
  const office = {
    matches: [matchFixture('/office', { sources: ['192.0.2.0/24'] })],
    action: respondFixture('office'),
  };
  const snapshot = new TestSnapshot([...proxied(backend), ruleFixture('shop/office/r', office)]);
  await publish(stream, snapshot);
  const { admin } = await dataplane.ready();
  const post = (body: string, type = 'application/json') =>
    fetch(`http://127.0.0.1:${admin}/debug/explain`, { method: 'POST', body, headers: { 'content-type': type } });
  const ask = async (request: object): Promise<Explanation> =>
    (await (await post(JSON.stringify(request))).json()) as Explanation;

  const url = 'https://API.example.com:8443/a/../b%2fc?x=1#part';
  expect(await ask({ method: 'GET', url })).toMatchObject({
    revision: snapshot.revision,
    request: { method: 'GET', host: 'api.example.com', path: '/b%2Fc', client: '127.0.0.1' },
    rule: { route: 'shop/api' },
    answer: null,
    backends: [{ backend: 'shop/api', text: expect.stringMatching(/^round robin over 1 endpoint/) }],
  });
  expect(requests).toBe(0);

  const from = (address: string) =>
    ask({ method: 'GET', url: 'http://a/office', headers: [['X-Forwarded-For', address]] });
  expect((await from('192.0.2.7')).answer).toMatchObject({ status: 200, by: 'rule' });
  expect((await from('198.51.100.1')).notTaken[0]?.why).toBe('client 198.51.100.1 is not among its sources');
  expect((await ask({ method: 'GET', url: 'http://a/office', address: '192.0.2.8' })).rule?.route).toBe('shop/office');

  expect((await ask({ method: 'GET', url: 'http://a/../..' })).answer).toMatchObject({
    status: 400,
    code: 'bad-path',
    by: 'listener',
  });
  const refused = async (body: object | string, type?: string) => {
    const answer = await post(typeof body === 'string' ? body : JSON.stringify(body), type);
    return [answer.status, ((await answer.json()) as { error: string }).error];
  };
  expect(await refused({ method: 'GET', url: '/orders' })).toEqual([
    400,
    'url: must look like https://api.example.com/orders',
  ]);
  expect(await refused({ method: 'GET', url: 'http://a/', headers: [['a', 'b\r\nc: d']] })).toEqual([
    400,
    expect.stringMatching(/^headers\.0\.1: /),
  ]);
  expect(await refused({ method: 'GET', url: 'http://a/', backend: 'nowhere' })).toEqual([
    400,
    'backend: the rule has no nowhere; it has shop/api',
  ]);
  expect((await refused('{', 'application/json'))[0]).toBe(400);
  expect((await refused('{"method":"GET"}', 'text/plain'))[0]).toBe(400);
  expect((await refused(' '.repeat(65 * 1024)))[0]).toBe(413);
});
