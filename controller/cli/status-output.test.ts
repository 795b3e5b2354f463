import { expect, test } from 'vitest';
import { renderStatus } from './status-output.ts';

test('a Backend with endpoints that get no requests has a line, and a note says which', () => {
  const text = renderStatus({
    controllers: [],
    dataPlanes: [],
    backends: [
      { namespace: 'shop', name: 'orders', healthy: 4, all: 6, blocked: ['10.0.0.1:80', '10.0.0.2:80'] },
      { namespace: 'shop', name: 'users', healthy: 0, all: 1, blocked: ['[2001:db8::1]:80'] },
    ],
  });
  expect(text).toBe(`data plane  none connected
backend     shop/orders     4/6 healthy
            shop/users      0/1 healthy
  shop/orders: no requests to 10.0.0.1:80, 10.0.0.2:80
  shop/users: no requests to [2001:db8::1]:80
`);
});
