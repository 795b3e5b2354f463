import net, { type AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { takenPorts } from './ports.ts';

test('a taken port is named with its purpose and the option that changes it, a free one is not', async () => {
  const server = net.createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  const needs = [
    { port, host: '127.0.0.1', purpose: 'gateway', option: '--port' },
    { port: 0, host: '127.0.0.1', purpose: 'admin', option: '--admin-port' },
  ];
  try {
    expect(await takenPorts(needs)).toEqual([
      `127.0.0.1:${port} (gateway) is in use by another program: stop that program or choose another with --port`,
    ]);
  } finally {
    server.close();
  }
});

test('an address this machine does not have is said so', async () => {
  const [sentence] = await takenPorts([{ port: 0, host: '192.0.2.1', purpose: 'gateway', option: '--host' }]);
  expect(sentence).toContain("can't be opened (EADDRNOTAVAIL)");
});
