/** Against a server that speaks the protocol. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { MAX_RECORDS } from './answer.ts';
import { DnsServer } from './dns-server.fixture.ts';
import { createNameResolver, type ResolverOptions } from './resolver.ts';

let server: DnsServer;
beforeEach(async () => {
  server = await DnsServer.start();
});
afterEach(() => server.close());

function resolver(options: Partial<ResolverOptions> = {}) {
  return createNameResolver({
    servers: [server.address],
    timeoutMs: 500,
    deadlineMs: 5_000,
    families: () => ({ v4: true, v6: true }),
    ...options,
  });
}

test('both families, sorted, with the shorter TTL', async () => {
  server.set('db.example', 'A', ['10.0.0.2', '10.0.0.1'], 30);
  server.set('db.example', 'AAAA', ['fd00::1'], 10);
  expect(await resolver().addresses('db.example')).toEqual({
    kind: 'found',
    value: { v4: ['10.0.0.1', '10.0.0.2'], v6: ['fd00::1'] },
    ttlMs: 10_000,
  });
  expect(await resolver().addresses('db.example.')).toMatchObject({ kind: 'found' });
});

test('a family without records is empty, one that fails is not known', async () => {
  server.set('db.example', 'A', ['10.0.0.1'], 30);
  expect(await resolver().addresses('db.example')).toMatchObject({
    value: { v4: ['10.0.0.1'], v6: [] },
    ttlMs: 30_000,
  });
  server.failing.add('AAAA');
  expect(await resolver().addresses('db.example')).toMatchObject({
    value: { v4: ['10.0.0.1'], v6: null },
    ttlMs: 5_000,
  });
  const only4 = resolver({ families: () => ({ v4: true, v6: false }) });
  expect(await only4.addresses('db.example')).toMatchObject({ value: { v4: ['10.0.0.1'], v6: [] }, ttlMs: 30_000 });
});

test('no such name, and none of these records, are none; what fails is failed', async () => {
  expect(await resolver().addresses('nowhere.example')).toEqual({ kind: 'none' });
  server.set('empty.example', 'A', [], 1);
  expect(await resolver().addresses('empty.example')).toEqual({ kind: 'none' });
  server.mode = 'servfail';
  expect(await resolver().addresses('db.example')).toEqual({ kind: 'failed', code: 'ESERVFAIL' });
});

test('a server that does not answer, and one that is not there, end in time', async () => {
  server.mode = 'silent';
  const silent = resolver({ timeoutMs: 250, deadlineMs: 400 });
  expect(await silent.addresses('db.example')).toEqual({ kind: 'failed', code: 'ETIMEOUT' });
  expect(await silent.services('_http._tcp.example')).toEqual({ kind: 'failed', code: 'ETIMEOUT' });
  const away = await DnsServer.start();
  away.close();
  const gone = resolver({ servers: [away.address], deadlineMs: 2_000 });
  expect(await gone.addresses('db.example')).toMatchObject({ kind: 'failed' });
  expect(await gone.services('_http._tcp.example')).toMatchObject({ kind: 'failed', code: 'ECONNREFUSED' });
});

test('names as the machine means them: the hosts file, then search domains in order', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'dns-'));
  const files = { hostsFile: path.join(folder, 'hosts'), resolvConf: path.join(folder, 'resolv.conf') };
  writeFileSync(files.hostsFile, '10.9.9.9 pinned.example\n');
  writeFileSync(files.resolvConf, 'search ns.svc.test svc.test\noptions ndots:3\n');
  const as = resolver({ whole: false, ...files });
  server.set('pinned.example', 'A', ['10.0.0.1'], 30);
  expect(await as.addresses('pinned.example')).toMatchObject({ value: { v4: ['10.9.9.9'] } });
  server.set('db.other.svc.test', 'A', ['10.0.0.7'], 30);
  server.set('db.other', 'A', ['10.0.0.8'], 30);
  expect(await as.addresses('db.other')).toMatchObject({ value: { v4: ['10.0.0.7'] } });
  expect(await as.addresses('db.other.')).toMatchObject({ value: { v4: ['10.0.0.8'] } });
  // Who can't tell about a first candidate does not go on to a second.
  server.mode = 'servfail';
  expect(await as.addresses('db.other')).toMatchObject({ kind: 'failed' });
  rmSync(folder, { recursive: true });
});

test('without servers of its own, what only the C library knows is found too', async () => {
  const answer = await resolver({ servers: null, hostsFile: '/nonexistent', resolvConf: '/nonexistent' }).addresses(
    'localhost',
  );
  expect(answer).toMatchObject({ kind: 'found' });
});

test('SRV records with their TTL, sorted; a dot alone is none', async () => {
  const name = '_http._tcp.example';
  server.setServices(
    name,
    [
      { target: 'B.example.', port: 8081, priority: 20, weight: 5 },
      { target: 'a.example', port: 8080, priority: 10, weight: 1 },
    ],
    7,
  );
  expect(await resolver().services(name)).toEqual({
    kind: 'found',
    value: [
      { target: 'a.example', port: 8080, priority: 10, weight: 1 },
      { target: 'b.example', port: 8081, priority: 20, weight: 5 },
    ],
    ttlMs: 7_000,
  });
  server.setServices(name, [{ target: '.', port: 80 }], 7);
  expect(await resolver().services(name)).toEqual({ kind: 'none' });
  expect(await resolver().services('_x._tcp.example')).toEqual({ kind: 'none' });
  server.mode = 'servfail';
  expect(await resolver().services(name)).toEqual({ kind: 'failed', code: 'ESERVFAIL' });
});

test('a long answer comes by TCP, and is bounded', async () => {
  const name = '_http._tcp.example';
  const services = Array.from({ length: 300 }, (_, i) => ({ target: `t${i}.example`, port: 1000 + i }));
  server.setServices(name, services, 7);
  const answer = await resolver().services(name);
  expect(answer.kind === 'found' && answer.value.length).toBe(MAX_RECORDS);
  expect(server.byTcp).toEqual([`SRV ${name}`]);
});

test('the next server is asked where one fails', async () => {
  const other = await DnsServer.start();
  other.mode = 'servfail';
  const name = '_http._tcp.example';
  server.setServices(name, [{ target: 'a.example', port: 80 }], 7);
  server.set('a.example', 'A', ['10.0.0.1'], 7);
  const both = resolver({ servers: [other.address, server.address] });
  expect(await both.services(name)).toMatchObject({ kind: 'found' });
  expect(await both.addresses('a.example')).toMatchObject({ kind: 'found' });
  other.close();
});

test('at most so many look-ups at a time, and all are made', async () => {
  server.set('db.example', 'A', ['10.0.0.1'], 7);
  server.mode = 'silent';
  const one = resolver({ maxConcurrent: 1, timeoutMs: 5_000, deadlineMs: 20_000 });
  const answers = [1, 2, 3].map(() => one.addresses('db.example'));
  await expect.poll(() => server.questions.length, { timeout: 10_000 }).toBe(2);
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(server.questions.sort()).toEqual(['A db.example', 'AAAA db.example']);
  server.mode = 'serve';
  expect((await Promise.all(answers)).map(({ kind }) => kind)).toEqual(['found', 'found', 'found']);
});
