/** What a worker holds at most: one request or connection more is answered at once. */
import net from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { until } from '../cluster/process.ts';
import { type OverloadedGateway, startGateway } from './gateway.ts';

let gateway: OverloadedGateway;

beforeAll(async () => {
  const env = { TIDEGATE_MAX_REQUESTS: '3', TIDEGATE_MAX_CONNECTIONS: '6' };
  gateway = await startGateway([{ path: '/held', sections: '' }], env);
});

afterAll(() => gateway?.stop());

function get(path: string): Promise<Response> {
  const headers = { 'x-text': 'b', connection: 'close' };
  return fetch(`http://127.0.0.1:${gateway.port}${path}`, { headers, signal: AbortSignal.timeout(30_000) });
}

async function metric(name: string): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${gateway.adminPort}/metrics`)).text();
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1] ?? Number.NaN);
}

test('a request beyond TIDEGATE_MAX_REQUESTS is turned away, those in flight are not', async () => {
  const held = Array.from({ length: 3 }, () => get('/held/2000'));
  await until('three are in flight', async () => (await metric('tidegate_requests_in_flight')) === 3, 10_000, 20);
  const answer = await get('/held/0');
  expect(answer.status).toBe(503);
  expect(answer.headers.get('retry-after')).toBe('1');
  expect(await answer.json()).toMatchObject({ code: 'overloaded' });
  expect((await Promise.all(held)).map(({ status }) => status)).toEqual([200, 200, 200]);
  expect((await get('/held/0')).status).toBe(200);
  const away = 'tidegate_shed_total\\{policy="_worker",priority="_any",reason="requests"\\}';
  expect(await metric(away)).toBe(1);
});

test('a connection beyond TIDEGATE_MAX_CONNECTIONS is answered 503 and closed', async () => {
  await until('none is left of before', async () => (await metric('tidegate_connections')) === 0, 20_000, 20);
  const open = Array.from({ length: 6 }, () => net.connect(gateway.port, '127.0.0.1'));
  try {
    await until('six are open', async () => (await metric('tidegate_connections')) === 6, 10_000, 20);
    const seventh = net.connect(gateway.port, '127.0.0.1');
    const text = await new Promise<string>((resolve, reject) => {
      let read = '';
      seventh.setEncoding('latin1');
      seventh.on('data', (piece: string) => {
        read += piece;
      });
      seventh.on('close', () => resolve(read));
      seventh.on('error', reject);
    });
    expect(text).toMatch(/^HTTP\/1\.1 503 /);
    expect(text).toContain('connection: close');
  } finally {
    for (const socket of open) socket.destroy();
  }
  await until('they are gone', async () => (await metric('tidegate_connections')) === 0, 10_000, 20);
  expect((await get('/held/0')).status).toBe(200);
});
