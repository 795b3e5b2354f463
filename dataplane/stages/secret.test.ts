import { format, inspect } from 'node:util';
import { expect, test } from 'vitest';
import { Secret } from './secret.ts';

test('no way of printing shows it', () => {
  const secret = new Secret(Buffer.from('hunter2\n'));
  const shown = [
    String(secret),
    `${secret}`,
    JSON.stringify({ secret }),
    inspect({ secret }),
    format('%o %s', secret, secret),
  ];
  for (const text of shown) expect(text).not.toContain('hunter2');
  expect(secret.text()).toBe('hunter2');
});
