import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ApiServer, ApiStatusError, LineSplitter } from './api-server.ts';
import { failure, send, TestApi } from './test-api.ts';

let server: TestApi;
beforeEach(async () => {
  server = await TestApi.start();
});
afterEach(async () => {
  await server.stop();
});

test('lines come out as they went in, however they are cut', () => {
  const lines = fc.array(fc.string({ unit: 'binary', minLength: 1 }).map((text) => text.replaceAll('\n', '_')));
  fc.assert(
    fc.property(lines, fc.array(fc.nat(200), { maxLength: 20 }), (expected, cuts) => {
      const bytes = Buffer.from(expected.map((line) => `${line}\n`).join(''));
      const splitter = new LineSplitter();
      const found: string[] = [];
      const ends = [...cuts.map((cut) => Math.min(cut, bytes.length)), bytes.length].sort((a, b) => a - b);
      let from = 0;
      for (const end of ends) {
        found.push(...splitter.push(bytes.subarray(from, end)));
        from = end;
      }
      expect(found).toEqual(expected.map((line) => Buffer.from(line).toString()));
    }),
  );
});

test('an error status is an error with its reason', async () => {
  server.handler = (_request, response) => {
    failure(response, 409, 'Conflict');
    return true;
  };
  const error = await server.api.request({ path: '/x' }).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(ApiStatusError);
  expect(error).toMatchObject({ code: 'CTL_API_STATUS', status: 409, reason: 'Conflict', retryable: true });
  expect((error as Error).message).toContain('told by the test');
});

test('what is no JSON, what breaks off and what never comes are told apart', async () => {
  server.handler = ({ path }, response) => {
    if (path === '/html') response.end('<html>');
    if (path === '/broken') {
      response.writeHead(200, { 'content-length': 100 }).write('{');
      response.destroy();
    }
    return true;
  };
  await expect(server.api.request({ path: '/html' })).rejects.toMatchObject({
    code: 'CTL_API_CONTENT',
    retryable: false,
  });
  await expect(server.api.request({ path: '/broken' })).rejects.toMatchObject({
    code: 'CTL_API_UNREACHABLE',
    retryable: true,
  });
  await expect(server.api.request({ path: '/silent', timeoutMs: 50 })).rejects.toMatchObject({
    code: 'CTL_API_UNREACHABLE',
  });
});

test('a watch that falls silent is given up, one that speaks is not', async () => {
  const timers: NodeJS.Timeout[] = [];
  server.handler = ({ path }, response) => {
    response.writeHead(200);
    if (path === '/silent') response.write('{"n":0}\n');
    else {
      let n = 0;
      timers.push(
        setInterval(() => {
          response.write(`{"n":${n}}\n`);
          if (++n === 6) response.end();
        }, 20),
      );
    }
    return true;
  };
  const read = async (path: string): Promise<string[]> => {
    const found: string[] = [];
    for await (const lines of server.api.lines({ path }, 100)) found.push(...lines);
    return found;
  };
  expect(await read('/speaking')).toHaveLength(6);
  await expect(read('/silent')).rejects.toMatchObject({ code: 'CTL_API_UNREACHABLE' });
  for (const timer of timers) clearInterval(timer);
});

test('credentials are asked for every request, and sent', async () => {
  const seen: (string | undefined)[] = [];
  server.handler = (_request, response) => {
    seen.push(response.req.headers.authorization);
    send(response, 200, {});
    return true;
  };
  let token = 'first';
  const api = new ApiServer(async () => ({ ...(await server.credentials()), authorization: `Bearer ${token}` }));
  await api.request({ path: '/x' });
  token = 'second';
  await api.request({ path: '/x' });
  await api.close();
  expect(seen).toEqual(['Bearer first', 'Bearer second']);
});
