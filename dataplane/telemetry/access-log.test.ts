import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { CompiledRule } from '../pipeline/chain.ts';
import { type Downstream, Exchange } from '../pipeline/exchange.ts';
import { Headers } from '../pipeline/headers.ts';
import type { TlsPeer } from '../pipeline/tls-peer.ts';
import { ruleFixture } from '../snapshot/fixtures.ts';
import { type AccessLogOptions, createLineFormat } from './access-log.ts';
import { LineBatch } from './line-batch.ts';

const EPOCH_MS = Date.UTC(2026, 10, 23, 12, 0, 59, 250);

function exchange(path: string, query?: string, fields: string[] = [], host = 'api.example.com'): Exchange {
  return new Exchange(
    'GET',
    path,
    query,
    host,
    host,
    'http',
    'HTTP/1.1',
    new Headers(fields),
    '10.0.0.1',
    { tls: null } as Downstream,
    1000,
  );
}
function parsed(line: string): Record<string, unknown> {
  expect(line.endsWith('\n')).toBe(true);
  expect(line.slice(0, -1)).toMatch(/^[ -~]*$/);
  return JSON.parse(line);
}
/** Lines as text. Each is written into no more than the room it asked for. */
function lineFormat(options: AccessLogOptions): (exchange: Exchange, endMs: number) => string {
  const write = createLineFormat(options);
  return (exchange, endMs) => {
    const before = 3;
    let buffer = Buffer.alloc(0);
    let line = '';
    write(exchange, endMs, {
      used: before,
      reserve: (bytes) => {
        buffer = Buffer.alloc(before + bytes);
        return buffer;
      },
      commit: (end) => {
        line = buffer.toString('latin1', before, end);
      },
    });
    return line;
  };
}
const format = lineFormat({ query: false, epochMs: () => EPOCH_MS });

test('every field of a forwarded request', () => {
  const e = exchange('/orders/42', 'token=secret', ['user-agent', 'curl/8']);
  const resource = ruleFixture('shop/orders/read');
  Object.assign(e, {
    requestId: 'id-1',
    rule: { id: resource.id, resource } as CompiledRule,
    status: 502,
    code: 'upstream-reset',
    wouldRefuse: 'forbidden-default',
    identity: { consumer: 'acme "gmbh"', groups: [], scopes: [], claims: {}, method: 'key' },
    backend: 'shop/orders',
    endpoint: '10.1.1.1:80',
    upstreamMs: 0.0624,
    attempts: 2,
    bytesIn: 5,
    bytesOut: 113,
  });
  expect(parsed(format(e, 1012.3456))).toEqual({
    time: '2026-11-23T12:00:59.250Z',
    requestId: 'id-1',
    method: 'GET',
    host: 'api.example.com',
    path: '/orders/42',
    protocol: 'HTTP/1.1',
    status: 502,
    bytesIn: 5,
    bytesOut: 113,
    durationMs: 12.346,
    upstreamMs: 0.062,
    attempts: 2,
    route: 'shop/orders',
    rule: 'read',
    backend: 'shop/orders',
    endpoint: '10.1.1.1:80',
    client: '10.0.0.1',
    consumer: 'acme "gmbh"',
    code: 'upstream-reset',
    wouldRefuse: 'forbidden-default',
    userAgent: 'curl/8',
  });
});

test('what is not known is left out, and the query unless asked for', () => {
  const line = parsed(format(Object.assign(exchange('/', 'token=secret'), { attempts: 1 }), 1000));
  for (const name of [
    'route',
    'backend',
    'upstreamMs',
    'attempts',
    'consumer',
    'code',
    'wouldRefuse',
    'userAgent',
    'query',
  ])
    expect(line).not.toHaveProperty(name);
  const withQuery = lineFormat({ query: true, epochMs: () => EPOCH_MS });
  expect(parsed(withQuery(exchange('/', 'a="b"'), 1000)).query).toBe('a="b"');
  expect(parsed(withQuery(exchange('/'), 1000))).not.toHaveProperty('query');
});

test('a request over TLS says so, and who showed which certificate', () => {
  const over = (tls: Partial<TlsPeer>): Record<string, unknown> => {
    const e = exchange('/');
    const peer: TlsPeer = { serverName: 'api.example.com', version: 'TLSv1.3', certificate: null, ...tls };
    Object.assign(e, { downstream: { tls: peer } });
    return parsed(format(e, 1000));
  };
  const plain = parsed(format(exchange('/'), 1000));
  for (const name of ['tlsVersion', 'serverName', 'clientSubject']) expect(plain).not.toHaveProperty(name);
  expect(over({})).toMatchObject({ client: '10.0.0.1', tlsVersion: 'TLSv1.3', serverName: 'api.example.com' });
  expect(over({ serverName: '', version: 'TLSv1.2' })).not.toHaveProperty('serverName');
  const certificate = {
    subject: `CN="\u00e9",O=${'\u0001'.repeat(2000)}`,
    commonName: '',
    dnsNames: [],
    uris: [],
    emails: [],
    spiffeId: 'spiffe://a/b',
    fingerprint: 'ab'.repeat(32),
  };
  expect(over({ certificate })).toMatchObject({
    clientSubject: certificate.subject.slice(0, 512),
    clientSpiffeId: 'spiffe://a/b',
    clientFingerprint: certificate.fingerprint,
  });
});

test('whatever a client sends, a line is one line of JSON that says exactly that', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom('"', '\\', '\n', '\u2028', '\ud800', '\x7f', 'é'),
  );
  fc.assert(
    fc.property(text, text, text, (path, agent, host) => {
      const line = parsed(format(exchange(path, undefined, ['user-agent', agent], host), 1000));
      expect([line.path, line.userAgent, line.host]).toEqual([path, agent, host]);
    }),
  );
});

test('numbers of any size are written as JSON has them', () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.nat(), fc.maxSafeNat(), fc.constantFrom(0, 9, 10, 99, 100, 2 ** 31 - 1, 2 ** 31)),
      fc.oneof(fc.nat({ max: 20_000 }), fc.double({ min: 0, max: 1e20, noNaN: true })),
      (bytes, ms) => {
        const e = exchange('/');
        Object.assign(e, { startedAtMs: 0, bytesIn: bytes, bytesOut: bytes, upstreamMs: ms });
        const line = parsed(format(e, ms));
        expect([line.bytesIn, line.bytesOut, line.upstreamMs]).toEqual([bytes, bytes, line.durationMs]);
        // Within half a unit of the last decimal, or of the double itself.
        expect(Math.abs((line.durationMs as number) - ms)).toBeLessThanOrEqual(0.000501 + ms * 2 ** -52);
      },
    ),
  );
});

test('time goes on with the exchange, and is asked anew each second', () => {
  let epoch = EPOCH_MS;
  const timed = lineFormat({ query: false, epochMs: () => epoch });
  const at = (endMs: number): unknown => parsed(timed(exchange('/'), endMs)).time;
  expect(at(5000)).toBe('2026-11-23T12:00:59.250Z');
  expect(at(5100)).toBe('2026-11-23T12:00:59.350Z');
  epoch += 800;
  expect(at(5800)).toBe('2026-11-23T12:01:00.050Z');
  // A finish that was read off the clock just before another one.
  expect(at(5749)).toMatch(/^2026-11-23T12:01:00/);
});

test('an endpoint that moves to another backend is written with that', () => {
  const e = exchange('/');
  Object.assign(e, { backend: 'a/one', endpoint: '1.1.1.1:1' });
  expect(parsed(format(e, 1000)).backend).toBe('a/one');
  e.backend = 'a/two';
  expect(parsed(format(e, 1000)).backend).toBe('a/two');
});

test('lines are handed over when enough came together, or after a moment, and none is lost', async () => {
  const pieces: string[] = [];
  let wake = (): void => {};
  const batch = new LineBatch({
    size: 10,
    delayMs: 1,
    handOver: (lines) => {
      pieces.push(Buffer.from(lines).toString());
      wake();
    },
  });
  const add = (line: string): void => {
    batch.reserve(line.length).write(line, batch.used, 'latin1');
    batch.commit(batch.used + line.length);
  };
  for (const line of ['aaaa\n', 'bbbb\n', 'cc\n']) add(line);
  expect(pieces).toEqual(['aaaa\nbbbb\n']);
  await new Promise<void>((resolve) => {
    wake = resolve;
  });
  expect(pieces).toEqual(['aaaa\nbbbb\n', 'cc\n']);
  // Longer than the buffer, and after it in order.
  add('a\n');
  add('much longer than ten\n');
  add('b\n');
  batch.flush();
  expect(pieces.slice(2)).toEqual(['a\n', 'much longer than ten\n', 'b\n']);
  // A buffer given back is used again; one of another size is not.
  const spare = new ArrayBuffer(10);
  batch.giveBack(new ArrayBuffer(9));
  batch.giveBack(spare);
  batch.flush();
  for (const line of ['cccc\n', 'dddd\n']) add(line);
  expect(Buffer.from(spare).toString()).not.toContain('c');
  add('eeee\n');
  expect(Buffer.from(spare).toString()).toContain('eeee');
});
