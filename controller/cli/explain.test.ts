import { spawn } from 'node:child_process';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import type { Explanation } from '@tidegate/dataplane/snapshot/explain';
import { explainRequest } from '@tidegate/dataplane/snapshot/explain';
import { afterEach, expect, test } from 'vitest';
import { questionOf } from './explain.ts';
import { renderExplanation } from './explain-output.ts';

const cleanUp: (() => unknown)[] = [];
afterEach(async () => {
  for (const undo of cleanUp.splice(0).reverse()) await undo();
});

const SERVED: Explanation = {
  revision: '8f2c1a',
  request: { method: 'GET', host: 'api.example.com', path: '/orders/42', client: '127.0.0.1' },
  rule: {
    route: 'shop/orders',
    rule: 'read-orders',
    why: 'exact host, prefix /orders; 2 others match less',
    trouble: '',
  },
  sections: [
    { section: 'authentication', source: 'shop/partners', text: 'key: consumer acme (gold)' },
    { section: 'transform', source: 'gateway/base and rule', text: '+ x-tenant' },
  ],
  answer: null,
  backends: [
    {
      backend: 'shop/canary',
      weight: 10,
      of: 100,
      ownPolicies: true,
      chosen: false,
      text: 'round robin over 1 endpoint',
    },
    {
      backend: 'shop/orders',
      weight: 90,
      of: 100,
      ownPolicies: false,
      chosen: true,
      text: 'round robin over 5 endpoints',
    },
  ],
  notTaken: [
    { rule: 'shop/catch-all rule all', why: 'prefix / is shorter' },
    { rule: 'shop/orders rule write', why: 'method POST only' },
  ],
  notTakenMore: 3,
};

test('what a person reads', () => {
  expect(
    renderExplanation(SERVED),
  ).toBe(`route      shop/orders rule read-orders  (exact host, prefix /orders; 2 others match less)
 authentication  shop/partners          key: consumer acme (gold)
 transform       gateway/base and rule  + x-tenant
backend    shop/orders (weight 90 of 100) → round robin over 5 endpoints
           shop/canary (weight 10 of 100, has policies of its own: --backend canary) → round robin over 1 endpoint
not taken  shop/catch-all rule all  prefix / is shorter
           shop/orders rule write  method POST only
           and 3 more
`);
  const refused: Explanation = {
    ...SERVED,
    rule: { route: 'shop/orders', rule: 'r', why: 'any host, prefix /', trouble: 'policies: there is no x' },
    sections: [{ section: 'authentication', source: 'shop/partners', text: 'bad \u001b[31m name' }],
    answer: { status: 401, code: 'credentials-missing', detail: 'This route needs credentials.', by: 'authentication' },
    notTaken: [],
    notTakenMore: 0,
  };
  expect(renderExplanation(refused)).toBe(`route      shop/orders rule r  (any host, prefix /)
           not as configured: policies: there is no x
 authentication  shop/partners  bad ?[31m name
answer     401 credentials-missing, by authentication: This route needs credentials.
`);
  const none = { ...SERVED, rule: null, sections: [], backends: [], notTaken: [], notTakenMore: 0 };
  const answer = { status: 404, code: 'no-route', detail: 'no rule takes this host, path and method', by: 'routing' };
  expect(renderExplanation({ ...none, answer })).toBe(`route      none
answer     404 no-route, by routing: no rule takes this host, path and method
`);
});

test('what is asked is what the contract takes', () => {
  const header = ['X-Api-Key: a:b', 'accept:  */*  '];
  const question = questionOf('get', 'https://a.example/b?c', { header, address: '203.0.113.7', backend: 'v2' });
  expect(question.method).toBe('GET');
  expect(question.headers).toEqual([
    ['X-Api-Key', 'a:b'],
    ['accept', '*/*'],
  ]);
  expect(explainRequest.parse(question)).toEqual(question);
  expect(() => questionOf('GET', '/orders', { header: [] })).toThrow(/must be whole/);
  expect(() => questionOf('GET', 'http://a/', { header: ['secret-without-colon'] })).toThrow(
    /^(?!.*secret).*name: value/,
  );
});

test('the command: asks the admin server, and its exit status says whether the request is served', async () => {
  const asked: unknown[] = [];
  const answers: [number, unknown][] = [
    [200, SERVED],
    [200, { ...SERVED, answer: { status: 503, code: 'policy-invalid', detail: '', by: 'authentication' } }],
    [400, { error: 'headers.0.0: must be the name of a header' }],
    [404, { error: 'there is no page /debug/explain' }],
    [503, { error: 'no worker is up' }],
  ];
  const server = http.createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (chunk: string) => {
      body += chunk;
    });
    request.on('end', () => {
      asked.push([request.method, request.url, JSON.parse(body)]);
      const [status, answer] = answers.shift() as [number, unknown];
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
    });
  });
  server.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  cleanUp.push(() => server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const args = ['GET', 'https://api.example.com/orders/42', '-H', 'x-api-key: k1', '-H', 'accept: */*', '--url', url];

  const served = await tidegate('explain', ...args);
  expect(served).toMatchObject({ code: 0, errors: '' });
  expect(served.text).toContain('route      shop/orders rule read-orders');
  expect(asked[0]).toEqual([
    'POST',
    '/debug/explain',
    {
      method: 'GET',
      url: 'https://api.example.com/orders/42',
      headers: [
        ['x-api-key', 'k1'],
        ['accept', '*/*'],
      ],
    },
  ]);
  const refused = await tidegate('explain', ...args, '-o', 'json');
  expect([refused.code, (JSON.parse(refused.text) as Explanation).answer?.code]).toEqual([2, 'policy-invalid']);
  for (const message of [
    'headers.0.0: must be the name of a header',
    `the data plane at ${url} has no /debug/explain: is it the admin address of a data plane (--url)?`,
    `can't ask the data plane at ${url} (no worker is up)`,
  ]) {
    expect(await tidegate('explain', ...args)).toEqual({ code: 1, text: '', errors: `tidegate: ${message}\n` });
  }
  server.close();
  server.closeAllConnections();
  const nobody = await tidegate('explain', ...args);
  expect(nobody.code).toBe(1);
  expect(nobody.errors).toMatch(/^tidegate: no data plane answers at .*ECONNREFUSED.*tidegate run/);
});

function tidegate(...args: string[]): Promise<{ code: number | null; text: string; errors: string }> {
  const child = spawn(process.execPath, ['--conditions=source', path.join(import.meta.dirname, 'main.ts'), ...args]);
  let [text, errors] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    errors += chunk;
  });
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, text, errors })));
}
