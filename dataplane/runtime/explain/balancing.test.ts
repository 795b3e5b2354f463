import { expect, test } from 'vitest';
import { balancingText } from './balancing.ts';

test('algorithm, key and what is added to it', () => {
  expect(balancingText({ algorithm: 'leastRequest', slowStartMs: 1 })).toBe('least request');
  expect(balancingText({ algorithm: 'ringHash', hash: { by: 'address' } })).toBe(
    'consistent hash (ring) of the client address',
  );
  expect(
    balancingText({
      algorithm: 'maglev',
      hash: { by: 'header', name: 'x-user' },
      maxLoadPercent: 125,
      sticky: { cookie: 'at', ttlMs: 0, path: '/', key: 'secret' },
      preferZone: true,
    }),
  ).toBe('consistent hash (Maglev) of header x-user, load up to 125 %, sticky by cookie at, own zone first');
});
