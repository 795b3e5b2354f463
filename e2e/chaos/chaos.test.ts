/** The fault run's own arithmetic, its load and its backends: what is wrong here would make every figure wrong. */
import { mkdtempSync, rmSync } from 'node:fs';
import http from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePorts } from '../bench/ports.ts';
import { decodeArrivals, encodeArrival, type Mode } from './backend-terms.ts';
import { type Attempt, broken, type Side, sideOf } from './figures.ts';
import { Backend } from './fleet.ts';
import { now, OpenLoop, type Sample } from './open-loop.ts';

const times = { injectedMs: 1_000, healedMs: 2_000, overMs: 3_000 };
const sample = (atMs: number, outcome: Sample['outcome'] = 200, ms = 5): Sample => ({ atMs, ms, outcome });
const attempt = (atMs: number, dueMs = atMs): Attempt => ({ atMs, dueMs });
const empty = { samples: [], attempts: [], faulty: [], looks: [], times };

describe('the figures of a fault', () => {
  it('count what was due in its time, and judge during and afterwards apart', () => {
    const samples = [
      sample(999, 503),
      ...[1_000, 1_250, 1_500].map((at) => sample(at)),
      sample(1_999, 'reset'),
      ...[2_000, 2_200].map((at) => sample(at)),
      sample(2_599, 'timeout'),
      sample(2_700, 502),
      sample(3_000, 503),
    ];
    const side = sideOf({ ...empty, samples });
    expect(side).toMatchObject({ sent: 8, failed: 3, failures: { reset: 1, timeout: 1, '502': 1 } });
    expect(side).toMatchObject({ failedShare: 1 / 4, failedShareAfterwards: 2 / 4, failedAtEnd: 1 });
  });

  it('take the 99th percentile of what was due while it lasted', () => {
    const samples = Array.from({ length: 101 }, (_, i) => sample(1_000 + i, 200, i));
    expect(sideOf({ ...empty, samples: [...samples, sample(2_500, 200, 5_000)] }).p99Ms).toBe(99);
  });

  it('count a repeat with its request, however late it arrives', () => {
    const samples = [sample(1_000), sample(2_000), sample(2_999), sample(2_999)];
    const attempts = [attempt(990, 990), attempt(1_100, 990), attempt(1_001), attempt(2_001), attempt(2_999)];
    const late = [attempt(3_500, 2_999), attempt(3_001, 3_001)];
    expect(sideOf({ ...empty, samples, attempts: [...attempts, ...late] }).amplification).toBe(1);
    expect(sideOf({ ...empty, samples, attempts: [...attempts, ...late, attempt(4_000, 2_999)] }).amplification).toBe(
      5 / 4,
    );
  });

  it('know the share of the faulty one', () => {
    const attempts = [1_000, 1_100, 1_200, 1_300, 2_000, 2_500].map((at) => attempt(at));
    expect(sideOf({ ...empty, attempts, faulty: [attempt(1_200), attempt(2_000)] }).faultyShare).toBe(1 / 4);
  });

  it('take the first look at a blocked endpoint within its time as the ejection', () => {
    const look = (atMs: number, ...blocked: string[]) => ({ atMs, blocked });
    const looks = [look(900, 'open'), look(1_000), look(1_340, 'ejected', 'open'), look(1_360, 'unhealthy')];
    expect(sideOf({ ...empty, looks })).toMatchObject({ ejectedAfterMs: 340, ejectedBy: 'ejected+open' });
    expect(sideOf({ ...empty, looks: [look(2_000, 'ejected')] }).ejectedAfterMs).toBeNull();
  });

  it('take the first request that was due after its end as the readmission, not one that waited for it', () => {
    expect(sideOf({ ...empty, faulty: [attempt(2_001, 1_500), attempt(2_400)] }).readmittedAfterMs).toBe(400);
    expect(sideOf({ ...empty, faulty: [attempt(2_001, 1_500)] }).readmittedAfterMs).toBeNull();
  });
});

describe('what has to hold', () => {
  const good: Side = {
    ...{ sent: 1_000, failed: 0, failedShare: 0, failedShareAfterwards: 0, failures: {}, failedAtEnd: 0, p99Ms: 10 },
    ...{ amplification: 1.2, faultyShare: 0.01, ejectedAfterMs: 300, ejectedBy: 'open', readmittedAfterMs: 500 },
  };
  const plain: Side = { ...good, faultyShare: 0.16 };
  const fault = { name: 'fault', failsAtMost: 0 };

  it('holds', () => {
    expect(broken(fault, plain, good)).toEqual([]);
    expect(broken({ ...fault, judgedBy: 'share' }, plain, { ...good, ejectedAfterMs: null })).toEqual([]);
    expect(broken(fault, plain, { ...good, ejectedAfterMs: null, faultyShare: 0.08 })).toEqual([]);
    expect(
      broken({ ...fault, judgedBy: 'failures' }, plain, { ...good, ejectedAfterMs: null, faultyShare: 0.2 }),
    ).toEqual([]);
    expect(broken({ ...fault, failsAtMost: 0.05 }, plain, { ...good, failedShare: 0.05 })).toEqual([]);
  });

  it.each<[string, Partial<Side>, RegExp]>([
    ['failures', { failedShare: 0.001, failures: { reset: 1 } }, /0\.10 % failed \(reset × 1\), at most 0\.00 %/],
    ['failures afterwards', { failedShareAfterwards: 0.001 }, /0\.10 % failed/],
    ['failures at the end', { failedAtEnd: 2 }, /2 still failed/],
    ['a retry storm', { amplification: 1.21 }, /1\.21 requests sent upstream for each/],
    ['no readmission', { readmittedAfterMs: null }, /not readmitted/],
    ['no ejection', { ejectedAfterMs: null, faultyShare: 0.09 }, /neither ejected nor avoided/],
  ])('is broken by %s', (_, change, says) => {
    expect(broken(fault, plain, { ...good, ...change })).toEqual([expect.stringMatching(says)]);
  });

  it('is broken where it is judged by its share and has not half of it less', () => {
    const found = broken({ ...fault, judgedBy: 'share' }, plain, { ...good, faultyShare: 0.09 });
    expect(found).toEqual([expect.stringMatching(/9\.00 % of the requests, without the policy 16\.00 %/)]);
  });
});

describe('the load', () => {
  it('goes on at its rate while nothing answers, and says what became of each request', async () => {
    const answers = [
      (response: http.ServerResponse) => response.end('ok'),
      (response: http.ServerResponse) => response.writeHead(503).end(),
      (response: http.ServerResponse) => {
        response.writeHead(200, { 'content-length': 100 });
        response.write('half');
        setTimeout(() => response.destroy(), 5);
      },
      () => {},
    ];
    const server = http.createServer((request, response) =>
      answers[Number(request.url?.split('/').at(-1)) % answers.length]?.(response),
    );
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/load`;
    const load = new OpenLoop({ url, rate: 200, timeoutMs: 1_000 });
    await sleep(400);
    await load.stop();
    server.closeAllConnections();
    server.close();
    expect(load.longestGapMs).toBeGreaterThan(0);
    // A quarter is never answered: a closed loop would have stopped.
    expect(load.samples.length).toBeGreaterThan(20);
    const expected: Sample['outcome'][] = [200, 503, 'reset', 'timeout'];
    for (const { atMs, outcome } of load.samples) {
      const n = Math.round(((atMs - load.dueMs(0)) * 200) / 1_000);
      expect(outcome).toBe(expected[n % expected.length]);
    }
  });
});

describe('arrivals', () => {
  it('are read back as they were written, without a line that is not whole yet', () => {
    const arrivals = [
      { atMs: 1_700_000_000_000.125, path: '/guarded/1' },
      { atMs: 1_700_000_000_001, path: '/plain/2' },
    ];
    expect(decodeArrivals(`${arrivals.map(encodeArrival).join('')}17000000`)).toEqual(arrivals);
  });
});

describe('a backend', () => {
  const dir = mkdtempSync(join(tmpdir(), 'tg-chaos-test-'));
  let backend: Backend;
  beforeAll(async () => {
    const [port = 0] = await freePorts(1);
    backend = new Backend('127.0.0.9', port, dir);
    await backend.start();
  });
  afterAll(async () => {
    await backend.stop();
    rmSync(dir, { recursive: true, force: true });
  });
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  const ask = (path: string): Promise<string> =>
    new Promise((resolve) => {
      let status = '';
      const fail = (error: NodeJS.ErrnoException) => resolve(status || error.code || error.message);
      const where = { agent, host: backend.address, port: backend.port, path, timeout: 1_000 };
      const request = http.get(where, (response) => {
        status = `${response.statusCode} broken`;
        response.on('error', fail);
        response.on('end', () => resolve(String(response.statusCode)));
        response.resume();
      });
      request.on('timeout', () => request.destroy(new Error('silence')));
      request.on('error', fail);
    });

  it.each<[Mode, RegExp]>([
    ['well', /^200,200$/],
    ['slow', /^200,200$/],
    ['reset', /^200 broken,200 broken$/],
    ['garbage', /^HPE_\w+,HPE_\w+$/],
    ['silent', /^silence,silence$/],
    ['closing', /^200,ECONNRESET$/],
    ['storm', /^503,503$/],
    ['flap', /^ECONN\w+,/],
  ])('that is %s', async (mode, expected) => {
    agent.destroy();
    await backend.enter(mode);
    expect(`${await ask('/a')},${await ask('/b')}`).toMatch(expected);
    await backend.enter('well');
  });

  it('records what reached it, and nothing of health checks', async () => {
    backend.forgetArrivals();
    const before = now();
    await ask('/guarded/1');
    await ask('/healthz');
    const [first, ...others] = backend.arrivals();
    expect(first?.path).toBe('/guarded/1');
    expect(first?.atMs).toBeGreaterThanOrEqual(before - 1);
    expect(others).toEqual([]);
  });

  it('that was killed is gone, keeps its record, and comes back', async () => {
    await backend.kill();
    expect(await ask('/a')).toBe('ECONNREFUSED');
    expect(backend.arrivals().map(({ path }) => path)).toContain('/guarded/1');
    await backend.start();
    expect(await ask('/a')).toBe('200');
  });

  it('with a full backlog lets nobody in, and everybody afterwards', async () => {
    await backend.fillBacklog();
    const socket = connect({ host: backend.address, port: backend.port });
    socket.on('error', () => {});
    const connected = new Promise<boolean>((resolve) => socket.once('connect', () => resolve(true)));
    expect(await Promise.race([connected, sleep(300, false)])).toBe(false);
    socket.destroy();
    await backend.emptyBacklog();
    expect(await ask('/a')).toBe('200');
  });
});
