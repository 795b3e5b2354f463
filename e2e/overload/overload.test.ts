/**
 * Five times what a data plane can carry, sent whatever comes back: the real programs, real sockets, a generator in a process of its own. What is
 * asserted are shares and an order; how fast the machine is does not matter.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { COSTLY_FIELD, type OverloadedGateway, startGateway } from './gateway.ts';
import type { Figures, Measured } from './generator.ts';
import { runLoad, together } from './run-load.ts';

/** In turn, of 25 requests. */
const MIX = [
  ...Array<string>(1).fill('critical'),
  ...Array<string>(3).fill('high'),
  ...Array<string>(16).fill('normal'),
  ...Array<string>(5).fill('low'),
];
const OVERLOAD_MS = 4_000;
/** Connections beyond this are not opened. */
const CONNECTIONS = 8_000;
const TIMEOUT_MS = 15_000;

let gateway: OverloadedGateway;

beforeAll(async () => {
  gateway = await startGateway([
    {
      path: '/shed',
      sections: '  shedding: { eventLoopDelay: 100ms, priorityHeader: x-priority, maxHeaderPriority: critical }',
    },
    { path: '/plain', sections: '' },
  ]);
});

afterAll(() => gateway?.stop());

const base = (path: string) => ({ port: gateway.port, path, timeoutMs: TIMEOUT_MS });

interface Capacity {
  /** Requests a second. */
  readonly rate: number;
  /** And a second of CPU: what a busy machine does not change. */
  readonly perCpuS: number;
}

/** With all that the rules do, by a closed loop; none of it is turned away. */
async function capacity(path: string): Promise<Capacity> {
  const kinds = [{ name: 'normal', fields: COSTLY_FIELD }];
  const before = await metric(/^process_cpu_seconds_total /);
  const measured = await runLoad({ ...base(path), kinds, rate: 0, connections: 8, durationMs: 2_000 });
  const cpuS = (await metric(/^process_cpu_seconds_total /)) - before;
  const { sent, statuses } = together(measured);
  expect(statuses).toEqual({ 200: sent });
  return { rate: (sent * 1000) / measured.tookMs, perCpuS: sent / cpuS };
}

/** Five times that. Goodput stays; its bounds are wide, as a busy machine had another capacity at another time. */
async function overload(path: string, { rate, perCpuS }: Capacity): Promise<Measured> {
  const kinds = MIX.map((name) => ({ name, fields: `x-priority: ${name}\r\n${COSTLY_FIELD}` }));
  const load = { ...base(path), kinds, rate: 5 * rate, connections: CONNECTIONS, durationMs: OVERLOAD_MS };
  const before = await metric(/^process_cpu_seconds_total /);
  const measured = await runLoad(load);
  const cpuS = (await metric(/^process_cpu_seconds_total /)) - before;
  const served = together(measured).statuses[200] ?? 0;
  expect(served / cpuS).toBeGreaterThan(0.7 * perCpuS);
  expect(served).toBeGreaterThan(0.3 * rate * (OVERLOAD_MS / 1000));
  return measured;
}

/** Of one who asks while it lasts: how long each took. Rejects where one fails. */
async function probing<T>(meanwhile: Promise<T>): Promise<{ value: T; tookMs: number[]; metrics: string }> {
  let over = false;
  void meanwhile.finally(() => {
    over = true;
  });
  const tookMs: number[] = [];
  let metrics = '';
  while (!over) {
    for (const page of ['readyz', 'healthz', 'metrics']) {
      const startedMs = performance.now();
      const answer = await fetch(`http://127.0.0.1:${gateway.adminPort}/${page}`, {
        signal: AbortSignal.timeout(10_000),
      });
      expect(answer.status).toBe(200);
      const text = await answer.text();
      tookMs.push(performance.now() - startedMs);
      if (page === 'metrics') metrics = text;
    }
    await sleep(200);
  }
  return { value: await meanwhile, tookMs: tookMs.sort((a, b) => a - b), metrics };
}

async function ask(path: string): Promise<number> {
  const answer = await fetch(`http://127.0.0.1:${gateway.port}${path}`, { headers: { 'x-text': 'b' } });
  await answer.arrayBuffer();
  return answer.status;
}

/** Sum of the samples whose line matches. */
async function metric(line: RegExp): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${gateway.adminPort}/metrics`)).text();
  const lines = text.split('\n').filter((one) => line.test(one));
  return lines.reduce((sum, one) => sum + Number(one.slice(one.lastIndexOf(' ') + 1)), 0);
}

const shedBy = (policy: string) => metric(new RegExp(`^tidegate_shed_total\\{policy="${policy}"`));

function servedShare({ sent, statuses }: Figures): number {
  return (statuses[200] ?? 0) / sent;
}

/** Every request has a whole answer: served, or turned away with when to come back. */
function expectAnswered(measured: Measured): void {
  const { sent, statuses, timeouts, resets, noRetryAfter } = together(measured);
  expect({ timeouts, resets, noRetryAfter }).toEqual({ timeouts: 0, resets: 0, noRetryAfter: 0 });
  expect(measured.unsent).toBeLessThan(0.05 * sent);
  expect((statuses[200] ?? 0) + (statuses[503] ?? 0)).toBe(sent);
  expect(statuses[503]).toBeGreaterThan(0);
}

/** What nobody may be turned away from two seconds after. */
async function expectRecovered(path: string): Promise<void> {
  await sleep(2_000);
  for (let i = 0; i < 20; i++) expect(await ask(path)).toBe(200);
}

describe('five times the capacity', () => {
  test('with a policy: goodput stays, priorities hold, health and metrics answer, and it is over with the load', async () => {
    const could = await capacity('/shed');
    const { value: measured, tookMs, metrics } = await probing(overload('/shed', could));
    expectAnswered(measured);
    const { critical, high, normal, low } = measured.kinds as Record<string, Figures>;
    const shares = [critical, high, normal, low].map((one) => servedShare(one as Figures));
    expect(shares[0]).toBe(1);
    expect(shares).toEqual([...shares].sort((a, b) => b - a));
    expect(tookMs.length).toBeGreaterThan(3);
    expect(tookMs[tookMs.length >> 1]).toBeLessThan(2_000);
    expect(metrics).toMatch(/^tidegate_event_loop_delay_seconds \d/m);
    await expectRecovered('/shed');
    expect(await shedBy('overload/shed')).toBe(together(measured).statuses[503]);
  });

  test('without one the guard of the worker does the same, and knows no priorities', async () => {
    const measured = await overload('/plain', await capacity('/plain'));
    expectAnswered(measured);
    expect(servedShare(measured.kinds.critical as Figures)).toBeLessThan(1);
    await expectRecovered('/plain');
    expect(await shedBy('_worker')).toBe(together(measured).statuses[503]);
  });
});
