/** Known payloads and random inputs through our engine and through nginx, where it is installed: the same requests reach the backends. */
import { expect, test } from 'vitest';
import { REQUESTS } from './corpus/requests.ts';
import { Exchanges } from './exchanges.ts';
import { mutate, pick, seeded } from './mutate.ts';
import { nginxPath } from './nginx.ts';

const path = nginxPath();
const SEED = 7;
const RANDOM = 150;

test.skipIf(path === null)('the same bytes lead to the same requests behind nginx', { timeout: 300_000 }, async () => {
  const exchanges = await new Exchanges().start(path as string);
  try {
    for (const { name, bytes } of REQUESTS) expect(await exchanges.differenceOn(bytes), name).toBeNull();
    const seeds = REQUESTS.filter(({ refused }) => refused === null).map(({ bytes }) => bytes);
    const random = seeded(SEED);
    for (let i = 0; i < RANDOM; i++) {
      const input = mutate(pick(random, seeds), seeds, random);
      expect(await exchanges.differenceOn(input), JSON.stringify(input)).toBeNull();
    }
  } finally {
    await exchanges.stop();
  }
});
