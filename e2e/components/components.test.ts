import { connect } from 'node:net';
import { afterAll, describe, expect, test } from 'vitest';
import type { ProcessComponent } from './component.ts';
import { startMariaDbProcess } from './mariadb.ts';
import { startRedis, startRedisProcess } from './redis.ts';

const processes = [
  { component: await startRedisProcess(), greet: 'PING\r\n' },
  { component: await startMariaDbProcess(), greet: '' },
].filter((entry): entry is { component: ProcessComponent; greet: string } => entry.component !== undefined);

describe.each(processes)('$component.name', ({ component, greet }) => {
  afterAll(() => component.stop());
  const state = () => probe(component.port, greet);

  test('lives, pauses, dies and comes back at the same address', async () => {
    expect(await state()).toBe('answers');
    await component.pause();
    expect(await state()).toBe('silent');
    component.resume();
    expect(await state()).toBe('answers');
    await component.kill();
    expect(await state()).toBe('refused');
    await component.restart();
    expect(await state()).toBe('answers');
    await component.shutDown();
    expect(await state()).toBe('refused');
    expect(() => component.resume()).toThrow('does not run');
    await component.restart();
    await component.pause();
    await component.stop();
    expect(await state()).toBe('refused');
    await component.stop();
  });
});

test('one given by URL is used as it is, and left alone', async () => {
  const before = process.env.TIDEGATE_TEST_REDIS_URL;
  process.env.TIDEGATE_TEST_REDIS_URL = 'redis://127.0.0.1:1';
  try {
    const redis = await startRedis();
    expect(redis).toMatchObject({ origin: 'given', url: 'redis://127.0.0.1:1' });
    await redis?.stop();
  } finally {
    if (before === undefined) delete process.env.TIDEGATE_TEST_REDIS_URL;
    else process.env.TIDEGATE_TEST_REDIS_URL = before;
  }
});

function probe(port: number, greet: string): Promise<'answers' | 'silent' | 'refused'> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    const done = (verdict: 'answers' | 'silent' | 'refused') => {
      socket.destroy();
      resolve(verdict);
    };
    socket.setTimeout(1000, () => done('silent'));
    socket.once('error', () => done('refused'));
    socket.once('data', () => done('answers'));
    if (greet !== '') socket.write(greet);
  });
}
