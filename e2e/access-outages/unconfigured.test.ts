/** A Policy that needs Redis, on data planes that have none: its Route is closed, and the status says what to set. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CONTROL_PATH, protectedRoute, type Scene, startScene } from './scene.ts';

let scene: Scene;
beforeAll(async () => {
  scene = await startScene({
    yaml: protectedRoute(
      'shared',
      'rateLimit:\n  limits: [{ name: all, limit: 10, window: 1s, scope: global, store: redis, onStoreFailure: allow }]',
    ),
    workers: 1,
  });
});
afterAll(() => scene?.stop());

test('closed, whatever onStoreFailure says: a setting that is missing is no outage', async () => {
  await scene.untilTrouble('shared', /limits\[0\]\.store: this data plane has no Redis: set TIDEGATE_REDIS_URL/);
  const answer = await fetch(`${scene.url}/shared`);
  expect(answer.status).toBe(503);
  expect(await answer.json()).toMatchObject({ status: 503, code: 'policy-rejected' });
  expect((await fetch(`${scene.url}${CONTROL_PATH}`)).status).toBe(200);
});
