import type { LookupAddress } from 'node:dns';
import net, { type LookupFunction } from 'node:net';
import { expect, test } from 'vitest';
import { createLookups } from './lookup.ts';

function all(lookup: LookupFunction, name: string): Promise<LookupAddress[]> {
  return new Promise((resolve, reject) => {
    lookup(name, { all: true }, (error, found) => (error === null ? resolve(found as LookupAddress[]) : reject(error)));
  });
}

test('a name of the own machine is found where it may be, and not where it may not', async () => {
  const { any, remote } = createLookups(null);
  expect((await all(any, 'localhost')).length).toBeGreaterThan(0);
  await expect(all(remote, 'localhost')).rejects.toMatchObject({ code: 'ENOTFOUND' });
  await new Promise<void>((resolve, reject) => {
    remote('localhost', {}, (error) => (error === null ? reject(new Error('found')) : resolve()));
  });
});

test('node connects through it, and not where it finds nothing', async () => {
  const server = net.createServer((socket) => socket.end()).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as net.AddressInfo;
  const outcome = (lookup: LookupFunction) =>
    new Promise<string>((resolve) => {
      const socket = net.connect({ host: 'localhost', port, lookup });
      socket.once('connect', () => resolve('connected'));
      socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''));
      socket.once('close', () => socket.destroy());
    });
  const { any, remote } = createLookups(null);
  expect(await outcome(any)).toBe('connected');
  expect(await outcome(remote)).toBe('ENOTFOUND');
  server.close();
});
