import { expect, test } from 'vitest';
import type { Answer } from '../pipeline/exchange.ts';
import { type MemoryRequest, memoryExchange } from '../pipeline/memory-downstream.ts';
import type { Action } from '../snapshot/resources.ts';
import { createRedirect } from './redirect.ts';

type Config = Partial<Omit<Extract<Action, { kind: 'redirect' }>, 'kind'>>;

function redirect(config: Config, line: string, more: MemoryRequest = {}, matchedPrefix = ''): Answer {
  let answer: Answer | null = null;
  const exchange = memoryExchange(line, more);
  exchange.matchedPrefix = matchedPrefix;
  createRedirect({ kind: 'redirect', status: 302, ...config }, (_exchange, made) => {
    answer = made;
  })(exchange);
  return answer as unknown as Answer;
}

// Ports as Gateway API HTTPRequestRedirectFilter.port says, where `authority` is what the client asked for.
test.each([
  [{}, 'a.example', 'http', 'http://a.example/p?q=1'],
  [{}, 'A.example:8080', 'http', 'http://a.example:8080/p?q=1'],
  [{}, 'a.example:80', 'http', 'http://a.example/p?q=1'],
  [{}, '[::1]:8080', 'http', 'http://[::1]:8080/p?q=1'],
  [{}, '[::1]', 'http', 'http://[::1]/p?q=1'],
  [{ scheme: 'https' }, 'a.example:8080', 'http', 'https://a.example/p?q=1'],
  [{ scheme: 'http' }, 'a.example:8443', 'https', 'http://a.example/p?q=1'],
  [{ scheme: 'https', port: 443 }, 'a.example', 'http', 'https://a.example/p?q=1'],
  [{ scheme: 'https', port: 8443 }, 'a.example', 'http', 'https://a.example:8443/p?q=1'],
  [{ port: 443 }, 'a.example', 'http', 'http://a.example:443/p?q=1'],
  [{ port: 80 }, 'a.example:8080', 'http', 'http://a.example/p?q=1'],
  [{ host: 'b.example' }, 'a.example:8080', 'http', 'http://b.example:8080/p?q=1'],
  [{ path: { kind: 'full', value: '/new' } }, 'a.example', 'https', 'https://a.example/new?q=1'],
] as [Config, string, 'http' | 'https', string][])(
  '%j of %s over %s leads to %s',
  (config, authority, scheme, expected) => {
    const answer = redirect(config, 'GET /p?q=1', { authority, scheme });
    expect(answer.headers.get('location')).toBe(expected);
    expect([answer.status, answer.body, answer.code]).toEqual([302, null, '']);
  },
);

test('a prefix is replaced', () => {
  const answer = redirect({ path: { kind: 'prefix', value: '/v2' } }, 'GET /v1/items', {}, '/v1');
  expect(answer.headers.get('location')).toBe('http://gateway.example/v2/items');
});

test('without a host there is nowhere to go; with one the path can not lead elsewhere', () => {
  expect(redirect({}, 'GET //evil.example/x', { authority: '' })).toMatchObject({ status: 400, code: 'bad-request' });
  expect(redirect({ host: 'b.example' }, 'GET //evil.example/x', { authority: '' }).headers.get('location')).toBe(
    'http://b.example//evil.example/x',
  );
});
