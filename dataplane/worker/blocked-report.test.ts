import { expect, test } from 'vitest';
import type { EndpointState } from '../upstream/upstream.ts';
import { BlockedReport } from './blocked-report.ts';
import type { BlockedEndpoint } from './messages.ts';

function upstream(id: string) {
  const blocked = new Map<string, EndpointState['blocked']>();
  const states = (): EndpointState[] =>
    Array.from(blocked, ([name, why]) => ({ name, weight: 1, active: 0, connections: 0, share: 0, blocked: why }));
  return { id, blocked, states };
}

test('what a worker blocks by itself is told when it changes, gathered, each backend as a whole', async () => {
  const [x, y] = [upstream('x'), upstream('y')];
  const upstreams = new Set([x, y]);
  const told: ReadonlyMap<string, readonly BlockedEndpoint[]>[] = [];
  const report = new BlockedReport(upstreams, (backends) => told.push(backends));
  const settled = () => new Promise((resolve) => setTimeout(resolve, 450));

  x.blocked.set('a', ['ejected']);
  x.blocked.set('b', ['unhealthy', 'open']);
  x.blocked.set('c', ['unhealthy']);
  report.changed('x');
  report.changed('y');
  await expect.poll(() => told, { timeout: 10_000 }).toHaveLength(1);
  expect(told.splice(0)).toEqual([
    new Map([
      [
        'x',
        [
          { name: 'a', by: 'ejected' },
          { name: 'b', by: 'open' },
        ],
      ],
    ]),
  ]);

  // To and fro within one gathering, and what others found out: nothing to tell.
  x.blocked.set('a', []);
  report.changed('x');
  x.blocked.set('a', ['ejected', 'unhealthy']);
  report.changed('x');
  await settled();
  expect(told).toEqual([]);

  // Many changes are told a few times, and the last word is right.
  const sinceMs = performance.now();
  for (let i = 0; performance.now() < sinceMs + 500; i++) {
    y.blocked.set('a', i % 2 === 0 ? ['open'] : []);
    report.changed('y');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  y.blocked.set('a', ['open']);
  report.changed('y');
  await settled();
  expect(told.length).toBeLessThanOrEqual((performance.now() - sinceMs) / 200 + 2);
  expect(told.at(-1)?.get('y')).toEqual([{ name: 'a', by: 'open' }]);

  // An upstream that is gone blocks nothing.
  told.length = 0;
  upstreams.delete(x);
  report.changed('x');
  await settled();
  expect(told).toEqual([new Map([['x', []]])]);
  report.close();
});
