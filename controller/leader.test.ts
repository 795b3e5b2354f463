import { afterEach, beforeEach, expect, test } from 'vitest';
import { LeaderElection } from './leader.ts';
import { silentLog } from './log.ts';
import { eventually, failure, quiet, TestApi } from './test-api.ts';
import { TestClock } from './test-clock.ts';

const LEASE = '/apis/coordination.k8s.io/v1/namespaces/tidegate/leases/controller';

let server: TestApi;
let clock: TestClock;
beforeEach(async () => {
  server = await TestApi.start();
  clock = new TestClock();
});
afterEach(async () => {
  await server.stop();
});

function candidate(identity: string) {
  const changes: boolean[] = [];
  const election = new LeaderElection({
    api: server.api,
    namespace: 'tidegate',
    name: 'controller',
    identity,
    durationMs: 15_000,
    renewMs: 10_000,
    retryMs: 2_000,
    clock,
    log: silentLog(),
    onChange: (leader) => changes.push(leader),
  });
  return { election, changes };
}

interface Spec {
  holderIdentity: string;
  leaseTransitions: number;
  renewTime: string;
}

function lease(): Spec | undefined {
  return server.objects.get(LEASE)?.spec as Spec | undefined;
}

/** Turns the clock in steps, letting requests end in between, unless they hang. */
async function pass(ms: number, hanging = false): Promise<void> {
  for (let passed = 0; passed < ms; passed += 1_000) {
    clock.advance(1_000);
    await (hanging ? new Promise((resolve) => setTimeout(resolve, 5)) : server.settled());
  }
}

test('one of two leads, keeps renewing, and the other never leads beside it', async () => {
  const a = candidate('a');
  const b = candidate('b');
  a.election.start();
  await pass(1_000);
  b.election.start();
  await pass(60_000);
  expect([a.election.leader, b.election.leader]).toEqual([true, false]);
  expect([a.changes, b.changes]).toEqual([[true], []]);
  expect(lease()).toMatchObject({ holderIdentity: 'a', leaseTransitions: 0 });
  expect(lease()?.renewTime).toMatch(/^2026-01-01T00:0[01]:\d\d\.\d{6}Z$/);
  await Promise.all([a.election.stop(), b.election.stop()]);
});

test('two that start together: the API server decides', async () => {
  const a = candidate('a');
  const b = candidate('b');
  a.election.start();
  b.election.start();
  await pass(10_000);
  expect([a.election.leader, b.election.leader].filter((leader) => leader)).toHaveLength(1);
  await Promise.all([a.election.stop(), b.election.stop()]);
});

test('one that stops gives the Lease back, and the other has it at its next look', async () => {
  const a = candidate('a');
  const b = candidate('b');
  a.election.start();
  await pass(1_000);
  b.election.start();
  await pass(3_000);
  await a.election.stop();
  expect(a.changes).toEqual([true, false]);
  expect(lease()?.holderIdentity).toBe('');
  await pass(4_000);
  expect(b.election.leader).toBe(true);
  expect(lease()).toMatchObject({ holderIdentity: 'b', leaseTransitions: 1 });
  await b.election.stop();
});

test('one that can not renew steps down before another may take over', async () => {
  const a = candidate('a');
  a.election.start();
  await pass(1_000);
  server.handler = (_request, response) => {
    failure(response, 500, 'InternalError');
    return true;
  };
  await pass(8_000);
  expect(a.election.leader).toBe(true);
  await pass(4_000);
  expect(a.election.leader).toBe(false);
  server.handler = () => false;
  await pass(4_000);
  expect(a.election.leader).toBe(true);
  await a.election.stop();
});

test('a request that hangs does not keep a leader leading', async () => {
  const a = candidate('a');
  a.election.start();
  await pass(1_000);
  server.handler = () => true;
  await pass(13_000, true);
  expect(a.election.leader).toBe(false);
  server.handler = () => false;
  const stopping = a.election.stop();
  await quiet();
  await server.stop();
  await stopping;
  server = await TestApi.start();
});

test('a dead holder is replaced when its record has not changed for the duration, whatever its clock says', async () => {
  server.put(LEASE, {
    metadata: { name: 'controller' },
    spec: {
      holderIdentity: 'dead',
      leaseDurationSeconds: 15,
      renewTime: '2099-01-01T00:00:00.000000Z',
      leaseTransitions: 3,
    },
  });
  const a = candidate('a');
  a.election.start();
  await pass(14_000);
  expect(a.election.leader).toBe(false);
  await pass(4_000);
  expect(a.election.leader).toBe(true);
  expect(lease()).toMatchObject({ holderIdentity: 'a', leaseTransitions: 4 });
  await a.election.stop();
  await eventually(() => lease()?.holderIdentity === '', 'given back');
});
