/** What makes a backend resilient holds for streams as it does for connections: retries, hedges, breakers, outliers, limits, copies of bodies. */
import http2 from 'node:http2';
import { afterEach, expect, test } from 'vitest';
import { eventually, type Peer, type TestProxy, type TestProxySettings } from '../../engine.fixture.ts';
import { retrying, Told } from '../retry/retry.fixture.ts';
import { Http2Backend, proxyTo, type Seen } from './http2.fixture.ts';

const running: { close(): Promise<void> }[] = [];

afterEach(async () => {
  for (const part of running.splice(0)) await part.close();
});

type Script = (seen: Seen, n: number) => void;

async function backends(...scripts: readonly Script[]): Promise<Http2Backend[]> {
  const list: Http2Backend[] = [];
  for (const script of scripts) {
    const server = await new Http2Backend(script).listen();
    running.push(server);
    list.push(server);
  }
  return list;
}

async function gatewayTo(to: readonly Http2Backend[], settings?: TestProxySettings): Promise<[TestProxy, Told]> {
  const gateway = await proxyTo(
    to.map(({ port }) => port),
    settings,
  );
  running.unshift(gateway);
  const names = new Map(to.map(({ port }, i) => [port, `e${i}`]));
  return [gateway, new Told(gateway.upstream, names)];
}

async function ask(gateway: TestProxy, more = '', method = 'GET', body = ''): Promise<Peer> {
  const client = await gateway.client();
  client.send(`${method} / HTTP/1.1\r\nhost: a\r\n${more}\r\n${body}`);
  return client;
}

const answer = ({ stream }: Seen): void => stream.respond({ ':status': 204 }, { endStream: true });
const busy: Script = ({ stream }) => {
  stream.respond({ ':status': 503, 'content-length': 4 });
  stream.end('busy');
};
const reset: Script = ({ stream }) => stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR);
const hang: Script = () => {};
const ANSWERED = '204 No Content';

test('a status is retried at another endpoint, and the session of the first serves on', async () => {
  const servers = await backends(busy, answer);
  const [gateway, told] = await gatewayTo(servers, { forward: { retry: retrying() } });
  const client = await ask(gateway);
  gateway.advance(300);
  await eventually(() => {
    gateway.advance(100);
    return client.received.includes(ANSWERED);
  });
  await eventually(() => told.lines.length === 2);
  expect(told.lines).toEqual(['e0: answered 503 left', 'e1: answered 204 left']);
  expect(gateway.upstream.stats).toMatchObject({ connections: 2, active: 0 });
});

test('a reset is retried, with the body once more', async () => {
  const bodies: string[] = [];
  const echo: Script = (seen) => {
    let body = '';
    seen.stream.on('data', (bytes) => {
      body += bytes;
    });
    seen.stream.on('end', () => {
      bodies.push(body);
      answer(seen);
    });
  };
  const servers = await backends((seen) => {
    seen.stream.resume();
    seen.stream.on('end', () => reset(seen, 0));
  }, echo);
  const [gateway] = await gatewayTo(servers, { forward: { retry: retrying() } });
  const client = await ask(gateway, 'content-length: 5\r\n', 'PUT', 'hello');
  await eventually(() => {
    gateway.advance(100);
    return client.received.includes(ANSWERED);
  });
  expect(bodies).toEqual(['hello']);
});

test('an attempt that takes too long is reset, and another one made', async () => {
  const servers = await backends(hang, answer);
  const [gateway, told] = await gatewayTo(servers, { forward: { retry: retrying({ perTryTimeoutMs: 1000 }) } });
  const client = await ask(gateway);
  const { stream } = await (servers[0] as Http2Backend).stream();
  await eventually(() => {
    gateway.advance(100);
    return client.received.includes(ANSWERED);
  });
  await eventually(() => stream.closed);
  expect(stream.rstCode).toBe(http2.constants.NGHTTP2_CANCEL);
  expect(told.lines[0]).toBe('e0: timeout left');
});

test('a hedge: the first head wins, the other stream is reset', async () => {
  const servers = await backends(hang, answer);
  const [gateway] = await gatewayTo(servers, {
    forward: { retry: retrying({ hedge: { afterMs: 500, max: 1 } }) },
  });
  const client = await ask(gateway);
  const { stream } = await (servers[0] as Http2Backend).stream();
  gateway.advance(600);
  await client.until(ANSWERED);
  await eventually(() => stream.closed);
  expect(gateway.upstream.stats.active).toBe(0);
});

test('a breaker opens on streams that fail, and lets one through when it is half open', async () => {
  let failing = true;
  const servers = await backends((seen, n) => (failing ? reset(seen, n) : answer(seen)));
  const [gateway] = await gatewayTo(servers, {
    backend: {
      breaker: {
        endpoint: {
          errorThresholdPercentage: 50,
          volumeThreshold: 3,
          rollingCountTimeoutMs: 10_000,
          rollingCountBuckets: 10,
          resetTimeoutMs: 5000,
          halfOpenRequests: 1,
        },
      },
    },
  });
  for (let i = 0; i < 3; i++) await (await ask(gateway)).until('upstream-reset');
  await (await ask(gateway)).until('breaker-open');
  expect(gateway.upstream.states()[0]?.blocked).toEqual(['open']);
  failing = false;
  gateway.advance(6000);
  await (await ask(gateway)).until(ANSWERED);
  expect(gateway.upstream.states()[0]?.blocked).toEqual([]);
});

test('outlier detection ejects an endpoint whose streams fail', async () => {
  const servers = await backends(reset, answer);
  const [gateway] = await gatewayTo(servers, {
    backend: {
      health: {
        panicPercent: 0,
        passive: {
          consecutiveErrors: 2,
          intervalMs: 10_000,
          baseEjectionMs: 30_000,
          maxEjectionMs: 300_000,
          maxEjectedPercent: 50,
        },
      },
    },
  });
  for (let i = 0; i < 4; i++) await (await ask(gateway)).until('HTTP/1.1');
  await eventually(() => gateway.upstream.states()[0]?.blocked[0] === 'ejected');
  for (let i = 0; i < 4; i++) await (await ask(gateway)).until(ANSWERED);
});

test('the limit on requests in flight counts streams', async () => {
  const servers = await backends(hang);
  const [gateway] = await gatewayTo(servers, { pool: { maxRequests: 2 } });
  await ask(gateway);
  await ask(gateway);
  await eventually(() => servers[0]?.seen.length === 2);
  expect(await (await ask(gateway)).until('upstream-overflow')).toContain('HTTP/1.1 503 ');
});

test('least request looks at the streams under way, not at sessions', async () => {
  const servers = await backends(hang, answer);
  const [gateway] = await gatewayTo(servers, { backend: { balancing: { algorithm: 'leastRequest' } as never } });
  const first: Peer[] = [];
  for (let i = 0; i < 6; i++) {
    first.push(await ask(gateway));
    await eventually(() => gateway.exchanges.length === i + 1);
    await eventually(() => (servers[0]?.seen.length ?? 0) + (servers[1]?.seen.length ?? 0) === i + 1);
  }
  expect(servers[0]?.seen.length).toBeLessThanOrEqual(2);
});
