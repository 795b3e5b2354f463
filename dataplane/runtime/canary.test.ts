/** Canaries on real sockets: by weight, pinned by header and cookie, and users that stay where they are. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { matchFixture, policyFixture, ruleFixture } from '../snapshot/fixtures.ts';
import type { Action, Resource } from '../snapshot/resources.ts';
import type { Split } from '../snapshot/shaping.ts';
import { eventually, ShapingScene } from './shaping.fixture.ts';

let scene: ShapingScene;
let parts: Resource[];

beforeEach(async () => {
  let seed = 7;
  // Park and Miller's generator: the same draws in each run.
  const random = () => {
    seed = (seed * 48_271) % 2_147_483_647;
    return seed / 2_147_483_647;
  };
  scene = await new ShapingScene(random).listen();
  parts = [...(await scene.backend('a/v1')).parts, ...(await scene.backend('a/v2')).parts];
});

afterEach(async () => {
  await scene.close();
  expect(scene.errors).toEqual([]);
});

function weighted(v1: number, v2: number, split?: Split, more: Parameters<typeof ruleFixture>[1] = {}) {
  const backends = [
    { weight: v1, backend: 'backend/a/v1' },
    { weight: v2, backend: 'backend/a/v2' },
  ];
  const action: Action = { kind: 'forward', backends, ...(split && { split }) };
  return ruleFixture('a/r/weighted', { action, ...more });
}

const ask = async (headers: Record<string, string> = {}) => (await scene.send('GET', '/', headers)).body;

test('by weight: a tenth of the requests, within four standard deviations', async () => {
  scene.configure(...parts, weighted(90, 10));
  let canary = 0;
  for (let i = 0; i < 500; i++) if ((await ask()) === 'a/v2') canary++;
  expect(Math.abs(canary - 50)).toBeLessThan(4 * Math.sqrt(500 * 0.1 * 0.9));
});

test('a rule that asks for a header or a cookie beats the weighted one, wherever it stands and however young it is', async () => {
  const pinned = (name: string, more: Parameters<typeof matchFixture>[1]) =>
    ruleFixture(`a/r/${name}`, {
      matches: [matchFixture('/', more)],
      action: { kind: 'forward', backends: [{ weight: 1, backend: 'backend/a/v2' }] },
      createdAtMs: 1_800_000_000_000,
      order: 5,
    });
  scene.configure(
    ...parts,
    weighted(100, 0),
    pinned('by-header', { headers: [{ kind: 'exact', name: 'x-canary', value: 'yes' }] }),
    pinned('by-cookie', { cookies: [{ kind: 'exact', name: 'canary', value: 'yes' }] }),
  );
  expect(await ask()).toBe('a/v1');
  expect(await ask({ 'x-canary': 'yes' })).toBe('a/v2');
  expect(await ask({ cookie: 'theme=dark; canary=yes' })).toBe('a/v2');
  expect(await ask({ 'x-canary': 'no', cookie: 'canary=no' })).toBe('a/v1');
  expect(scene.finished.map(({ rule }) => rule?.resource.rule)).toEqual([
    'weighted',
    'by-header',
    'by-cookie',
    'weighted',
  ]);
});

test('a user stays at one version, and while the share of the new one grows nobody goes back', async () => {
  const users = Array.from({ length: 100 }, (_, i) => `user-${i}`);
  const split: Split = { by: 'cookie', name: 'user' };
  const versions = async () => {
    const found = new Map<string, string>();
    for (const user of users) found.set(user, await ask({ cookie: `user=${user}` }));
    return found;
  };
  let before = new Set<string>();
  for (const weight of [0, 5, 25, 50, 100]) {
    scene.configure(...parts, weighted(100 - weight, weight, split));
    const [first, second] = [await versions(), await versions()];
    expect(second).toEqual(first);
    const atNew = new Set(users.filter((user) => first.get(user) === 'a/v2'));
    expect([...before].filter((user) => !atNew.has(user))).toEqual([]);
    expect(Math.abs(atNew.size - weight)).toBeLessThanOrEqual(15);
    before = atNew;
  }
  expect(before.size).toBe(100);
});

test('a split holds where a backend has policies of its own, too', async () => {
  const marked = policyFixture('a/marked', {
    section: 'transform',
    response: { remove: [], set: [{ name: 'x-version', value: '2' }], add: [] },
  });
  const split: Split = { by: 'header', name: 'x-user' };
  const rule = weighted(50, 50, split);
  const { action } = rule;
  if (action.kind !== 'forward') throw new Error('unreachable');
  const backends = action.backends.map((one, i) => (i === 1 ? { ...one, policies: [marked.id] } : one));
  scene.configure(...parts, rule);
  const plain = new Map<number, string>();
  for (let user = 0; user < 20; user++) plain.set(user, await ask({ 'x-user': `u${user}` }));
  scene.configure(...parts, marked, { ...rule, action: { ...action, backends } });
  for (let user = 0; user < 20; user++) {
    const { body, headers } = await scene.send('GET', '/', { 'x-user': `u${user}` });
    expect([body, headers['x-version']]).toEqual([plain.get(user), body === 'a/v2' ? '2' : undefined]);
  }
  expect(new Set(plain.values()).size).toBe(2);
});

test('weights and backends are flipped fifty times under load: every request is answered', async () => {
  let running = true;
  const failures: string[] = [];
  const seen: Record<string, number> = {};
  const clients = Array.from({ length: 8 }, async () => {
    while (running) {
      const { status, body } = await scene.send('POST', '/', {}, 'body');
      if (status !== 200) failures.push(`${status} ${body}`);
      seen[body] = (seen[body] ?? 0) + 1;
    }
  });
  scene.configure(...parts, weighted(1, 0));
  const only = (name: string) =>
    ruleFixture('a/r/weighted', {
      action: { kind: 'forward', backends: [{ weight: 1, backend: `backend/a/${name}` }] },
    });
  const flips = [
    () => [...parts, weighted(0, 1)],
    () => [...parts, weighted(1, 0)],
    // The other backend goes whole, with its connections, and comes back.
    () => [...parts.slice(2), only('v2')],
    () => [...parts.slice(0, 2), only('v1')],
  ];
  for (let flip = 0; flip < 50; flip++) {
    const count = scene.finished.length;
    scene.configure(...(flips[flip % flips.length] as () => Resource[])());
    await eventually(() => scene.finished.length >= count + 20);
  }
  running = false;
  await Promise.all(clients);
  // Before the first configuration.
  expect(failures.filter((one) => !one.includes('not-configured'))).toEqual([]);
  expect(Object.keys(seen).filter((body) => body.startsWith('a/'))).toHaveLength(2);
});
