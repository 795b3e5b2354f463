import { expect, test } from 'vitest';
import { encodeResource } from '../snapshot/decode.ts';
import { backendFixture, endpointsFixture } from '../snapshot/fixtures.ts';
import type { BackendHealth, HealthReport } from '../snapshot/protocol.ts';
import { describeEndpoints } from './describe-backends.ts';
import { EndpointStates } from './endpoint-states.ts';
import { HealthReporter } from './health-reporter.ts';
import { ObservedBackends } from './observed-backends.ts';

const ID = 'backend/shop/api';
const A = '10.0.0.1:80';
const B = '10.0.0.2:80';
const C = '10.0.0.3:80';

function setUp(...addresses: string[]) {
  const observed = new ObservedBackends((views) => states.viewed(views.keys()));
  const changed: string[] = [];
  const states = new EndpointStates(observed, (id) => changed.push(id));
  observed.add(states);
  const take = (...list: string[]): void =>
    observed.take({
      revision: '',
      upsert: [encodeResource(backendFixture('shop/api')), encodeResource(endpointsFixture('shop/api', ...list))],
      removed: [],
    });
  take(...addresses);
  return { observed, states, changed, take, of: () => Object.fromEntries(states.of(ID) ?? []) };
}

test('what health checks and workers say is put together; the first reason counts', () => {
  const { observed, states, of } = setUp(A, B, C);
  expect(of()).toEqual({ [A]: 'healthy', [B]: 'healthy', [C]: 'healthy' });
  expect(states.reportOf(ID)).toBeNull();
  observed.setUnhealthy(ID, [B]);
  states.blocked(0, new Map([[ID, [{ name: A, by: 'open' }]]]));
  states.blocked(
    1,
    new Map([
      [
        ID,
        [
          { name: A, by: 'ejected' },
          { name: B, by: 'ejected' },
        ],
      ],
    ]),
  );
  expect(of()).toEqual({ [A]: 'ejected', [B]: 'unhealthy', [C]: 'healthy' });
  expect(states.reportOf(ID)).toEqual({ backend: ID, blocked: [A, B], endpoints: 0 });
  // A worker that ended says nothing any more.
  states.blocked(1, null);
  expect(of()).toEqual({ [A]: 'open', [B]: 'unhealthy', [C]: 'healthy' });
  states.blocked(0, new Map([[ID, []]]));
  observed.setUnhealthy(ID, []);
  expect(states.reportOf(ID)).toBeNull();
});

test('endpoints that are gone are not reported; resolved ones are counted; a backend that is gone has nothing to tell', () => {
  const { observed, states, take, of } = setUp(A, B);
  states.blocked(0, new Map([[ID, [{ name: B, by: 'ejected' }]]]));
  take(A);
  expect(of()).toEqual({ [A]: 'healthy' });
  expect(states.reportOf(ID)).toBeNull();
  observed.setEndpoints(ID, endpointsFixture('x', A, B, C).endpoints);
  expect(states.reportOf(ID)).toEqual({ backend: ID, blocked: [B], endpoints: 3 });
  observed.take({ revision: '', upsert: [], removed: [ID] });
  expect(states.of(ID)).toBeUndefined();
  expect(states.reportOf(ID)).toBeNull();
});

test('figures of an endpoint are summed over the workers, and who blocks it is counted', () => {
  const one = { name: A, weight: 3, active: 2, connections: 5, share: 0.25 };
  const described = describeEndpoints(
    new Map([
      [A, 'ejected'],
      [B, 'healthy'],
    ]),
    [
      [{ ...one, latencyMs: 7, blocked: ['ejected'], breaker: 'closed', ejections: 2, ejectedForMs: 800 }],
      [{ ...one, share: 0, blocked: ['ejected', 'open'], breaker: 'open', ejections: 1, ejectedForMs: 900 }],
      [],
    ],
    new Map([[A, { healthy: true, probed: true, result: 'success', detail: '' }]]),
  );
  expect(described).toEqual([
    {
      name: A,
      state: 'ejected',
      weight: 3,
      active: 4,
      connections: 10,
      share: 0.125,
      latencyMs: 7,
      blockedBy: { ejected: 2, open: 1 },
      breakers: { closed: 1, open: 1 },
      ejections: 2,
      ejectedForMs: 900,
      check: { healthy: true, probed: true, result: 'success', detail: '' },
    },
    { name: B, state: 'healthy', weight: 0, active: 0, connections: 0, share: 0 },
  ]);
});

test('a stream is told all first, then what changed, gathered; where it is backed up, later', async () => {
  const reports = new Map<string, BackendHealth | null>();
  const sent: HealthReport[] = [];
  let takes = true;
  const reporter = new HealthReporter({
    ids: () => reports.keys(),
    reportOf: (id) => reports.get(id) ?? null,
    send: (report) => {
      if (takes) sent.push(report);
      return takes;
    },
  });
  const say = (id: string, ...blocked: string[]): void => {
    reports.set(id, blocked.length === 0 ? null : { backend: id, blocked, endpoints: 0 });
    reporter.changed(id);
  };
  say('x', A);
  say('y');
  await new Promise((resolve) => setTimeout(resolve, 250));
  expect(sent).toEqual([]);
  reporter.connected();
  expect(sent.splice(0)).toEqual([{ whole: true, backends: [{ backend: 'x', blocked: [A], endpoints: 0 }] }]);

  // To and fro within one gathering: nothing to tell of x.
  say('x');
  say('y', B);
  say('x', A);
  await expect.poll(() => sent, { timeout: 10_000 }).toHaveLength(1);
  expect(sent.splice(0)).toEqual([{ whole: false, backends: [{ backend: 'y', blocked: [B], endpoints: 0 }] }]);

  takes = false;
  say('x');
  await new Promise((resolve) => setTimeout(resolve, 450));
  expect(sent).toEqual([]);
  takes = true;
  await expect.poll(() => sent, { timeout: 10_000 }).toHaveLength(1);
  expect(sent.splice(0)).toEqual([{ whole: false, backends: [{ backend: 'x', blocked: [], endpoints: 0 }] }]);

  // The next stream knows nothing of what the one before was told.
  reporter.disconnected();
  say('x', C);
  reporter.connected();
  expect(sent.map(({ whole, backends }) => [whole, backends.map(({ backend }) => backend)])).toEqual([
    [true, ['x', 'y']],
  ]);
  reporter.close();
});
