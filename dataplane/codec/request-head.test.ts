import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DEFAULT_HEAD_LIMITS, INCOMPLETE } from './fields.ts';
import { refusalOf } from './refusals.ts';
import { parseRequestHead, RequestHead, type RequestHeadLimits } from './request-head.ts';

const LIMITS: RequestHeadLimits = { ...DEFAULT_HEAD_LIMITS, mergeSlashes: true };

function parse(text: string, limits = LIMITS): { result: number; head: RequestHead } {
  const bytes = Buffer.from(text, 'latin1');
  const head = new RequestHead();
  return { result: parseRequestHead(bytes, 0, bytes.length, limits, head), head };
}

/** What a parse came to, in a form that can be compared. */
function outcome(text: string, limits = LIMITS): unknown {
  const { result, head } = parse(text, limits);
  if (result < 0) return refusalOf(result);
  return result === INCOMPLETE ? 'incomplete' : { ...head, end: result };
}

const lines = (...all: string[]): string => `${all.join('\r\n')}\r\n\r\n`;

describe('accepts', () => {
  test('a plain request, names in lower case, values trimmed, duplicates and order kept', () => {
    const text = lines(
      'GET /a/b?c=d HTTP/1.1',
      'Host: Example.COM:8080',
      'X-A:1',
      'x-a: \t 2 3\t ',
      'Empty:',
      'obs: \xe9',
    );
    const { result, head } = parse(`${text}rest`);
    expect(result).toBe(text.length);
    expect(head).toMatchObject({
      method: 'GET',
      path: '/a/b',
      query: 'c=d',
      authority: 'Example.COM:8080',
      host: 'example.com',
      minor: 1,
      contentLength: -1,
      chunked: false,
      keepAlive: true,
      upgrade: false,
      expectContinue: false,
      fields: ['host', 'Example.COM:8080', 'x-a', '1', 'x-a', '2 3', 'empty', '', 'obs', '\xe9'],
    });
  });

  test.each<[string, Partial<RequestHead>]>([
    [lines('\r\nGET / HTTP/1.1', 'host: a'), { path: '/' }],
    [lines('GET / HTTP/1.0'), { minor: 0, host: '', authority: '', keepAlive: false }],
    [lines('GET / HTTP/1.0', 'connection: Keep-Alive'), { keepAlive: true }],
    [lines('GET / HTTP/1.1', 'host: a', 'connection: close'), { keepAlive: false }],
    [lines('GET / HTTP/1.1', 'host: a', 'connection: x, Close'), { keepAlive: false }],
    [
      lines('GET / HTTP/1.1', 'host: a', 'connection: x', 'x: 1', 'y: 2'),
      { fields: ['host', 'a', 'connection', 'x', 'y', '2'] },
    ],
    [
      lines('GET / HTTP/1.1', 'host: a', 'connection: host, x-forwarded-for', 'x-forwarded-for: 1'),
      { fields: ['host', 'a', 'connection', 'host, x-forwarded-for', 'x-forwarded-for', '1'] },
    ],
    [lines('GET / HTTP/1.1', 'host: a', 'connection: upgrade', 'upgrade: websocket'), { upgrade: true }],
    [lines('GET / HTTP/1.1', 'host: a', 'upgrade: websocket'), { upgrade: false }],
    [lines('GET / HTTP/1.1', 'host: a', 'connection: upgrade'), { upgrade: false }],
    [lines('POST / HTTP/1.1', 'host: a', 'content-length: 007'), { contentLength: 7 }],
    [lines('POST / HTTP/1.1', 'host: a', 'Transfer-Encoding: Chunked'), { chunked: true }],
    [lines('POST / HTTP/1.1', 'host: a', 'content-length: 1', 'expect: 100-Continue'), { expectContinue: true }],
    [lines('POST / HTTP/1.0', 'content-length: 1', 'expect: 100-continue'), { expectContinue: false }],
    [lines('OPTIONS * HTTP/1.1', 'host: a'), { path: '*' }],
    [lines('GET http://B:81/x?y HTTP/1.1', 'host: b:81'), { path: '/x', query: 'y', authority: 'B:81', host: 'b' }],
    [lines('GET HTTPS://b HTTP/1.1', 'host: b'), { path: '/', query: undefined, host: 'b' }],
    [lines('GET http://b?q HTTP/1.1', 'host: b:80'), { path: '/', query: 'q', authority: 'b' }],
    [lines('GET HTTPS://b:443 HTTP/1.1', 'host: b'), { path: '/', authority: 'b:443' }],
    [lines('GET /? HTTP/1.1', 'host: a'), { path: '/', query: '' }],
    [lines('GET /a?b?c/../d HTTP/1.1', 'host: a'), { path: '/a', query: 'b?c/../d' }],
    [
      lines('PROPFIND /%7Ea/.//b/../%2e%2E/c%2fd HTTP/1.1', 'host: [::1]:80'),
      { method: 'PROPFIND', path: '/c%2Fd', host: '[::1]' },
    ],
    [lines('GET /{a}|"b" HTTP/1.1', 'host: a_b.c.'), { path: '/{a}|"b"', host: 'a_b.c' }],
  ])('%j', (text, expected) => {
    const { result, head } = parse(text);
    expect(result).toBe(text.length);
    expect(head).toMatchObject(expected);
  });
});

/** Status, code, and what is refused with it. Every one of these ends its connection. */
const REFUSED: [number, string, string][] = [
  [400, 'bad-line-end', 'GET / HTTP/1.1\nhost: a\n\n'],
  [400, 'bad-line-end', 'GET / HTTP/1.1\r\nhost: a\n\r\n'],
  [400, 'bad-line-end', 'GET / HTTP/1.1\r\nhost: a\r\n\n'],
  [400, 'bad-line-end', 'GET / HTTP/1.1\r\nhost: a\rx: b\r\n\r\n'],
  [400, 'bad-line-end', 'GET / HTTP/1.1\r\nhost: a\r\n\rX'],
  [400, 'bad-line-end', '\rGET / HTTP/1.1\r\nhost: a\r\n\r\n'],
  [400, 'bad-request-line', '\nGET / HTTP/1.1\r\nhost: a\r\n\r\n'],
  [400, 'bad-request-line', '\r\n\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n'],
  [400, 'bad-request-line', lines('GET  / HTTP/1.1', 'host: a')],
  [400, 'bad-request-line', lines('GET /  HTTP/1.1', 'host: a')],
  [400, 'bad-request-line', lines('GET / HTTP/1.1 ', 'host: a')],
  [400, 'bad-request-line', lines(' GET / HTTP/1.1', 'host: a')],
  [400, 'bad-request-line', lines('GET\t/ HTTP/1.1', 'host: a')],
  [400, 'bad-request-line', lines('GET /', 'host: a')],
  [400, 'bad-request-line', lines('GET / http/1.1', 'host: a')],
  [400, 'bad-request-line', lines('GET / HTTP/1', 'host: a')],
  [400, 'bad-request-line', lines('GET / HTTP/11', 'host: a')],
  [400, 'bad-request-line', lines('GET / HTTP/1.11', 'host: a')],
  [400, 'bad-request-line', lines('G(T / HTTP/1.1', 'host: a')],
  [400, 'bad-request-line', lines(`${'M'.repeat(33)} / HTTP/1.1`, 'host: a')],
  [400, 'bad-request-line', '\x16\x03\x01\x02\x00\x01\x00'],
  [505, 'unsupported-version', lines('GET / HTTP/2.0', 'host: a')],
  [505, 'unsupported-version', lines('GET / HTTP/1.2', 'host: a')],
  [505, 'unsupported-version', lines('GET / HTTP/0.9', 'host: a')],
  [505, 'unsupported-version', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
  [405, 'connect-refused', lines('CONNECT a:443 HTTP/1.1', 'host: a')],
  [400, 'bad-target', lines('GET /#x HTTP/1.1', 'host: a')],
  [400, 'bad-target', lines('GET /?a#x HTTP/1.1', 'host: a')],
  [400, 'bad-target', lines('GET /a\\b HTTP/1.1', 'host: a')],
  [400, 'bad-target', lines('GET /\xe9 HTTP/1.1', 'host: a')],
  [400, 'bad-target', lines('GET /\x00 HTTP/1.1', 'host: a')],
  [400, 'bad-target', lines('GET /\x7f HTTP/1.1', 'host: a')],
  [400, 'bad-target', lines('GET a HTTP/1.1', 'host: a')],
  [400, 'bad-target', lines('GET * HTTP/1.1', 'host: a')],
  [400, 'bad-target', lines('OPTIONS *?x HTTP/1.1', 'host: a')],
  [400, 'bad-target', lines('GET ftp://a/ HTTP/1.1', 'host: a')],
  [400, 'bad-target', lines('GET http:///x HTTP/1.1', 'host: a')],
  [400, 'bad-path', lines('GET /.. HTTP/1.1', 'host: a')],
  [400, 'bad-path', lines('GET /a/%2e%2e/../b HTTP/1.1', 'host: a')],
  [400, 'bad-path', lines('GET /a%00 HTTP/1.1', 'host: a')],
  [400, 'bad-path', lines('GET /%4 HTTP/1.1', 'host: a')],
  [400, 'bad-path', lines('GET /%zz HTTP/1.1', 'host: a')],
  [400, 'bad-path', lines('GET /public/..;x/admin HTTP/1.1', 'host: a')],
  [400, 'bad-path', lines('GET http://a/../x HTTP/1.1', 'host: a')],
  [400, 'bad-host', lines('GET / HTTP/1.1')],
  [400, 'bad-host', lines('GET / HTTP/1.1', 'host: a', 'host: a')],
  [400, 'bad-host', lines('GET / HTTP/1.0', 'host: a', 'host: b')],
  [400, 'bad-host', lines('GET / HTTP/1.1', 'host:')],
  [400, 'bad-host', lines('GET / HTTP/1.1', 'host: a b')],
  [400, 'bad-host', lines('GET / HTTP/1.1', 'host: a, b')],
  [400, 'bad-host', lines('GET / HTTP/1.1', 'host: a/b')],
  [400, 'bad-host', lines('GET / HTTP/1.1', 'host: u@a')],
  [400, 'bad-host', lines('GET / HTTP/1.1', 'host: a:b')],
  [400, 'bad-host', lines('GET / HTTP/1.1', 'host: a:65536')],
  [400, 'bad-host', lines('GET / HTTP/1.1', 'host: a..b')],
  [400, 'bad-host', lines('GET http://u:p@b/ HTTP/1.1', 'host: a')],
  [400, 'bad-host', lines('GET http://b/ HTTP/1.1', 'host: a/b')],
  [400, 'bad-host', lines('GET http://b/ HTTP/1.1', 'host: a')],
  [400, 'bad-host', lines('GET http://b/ HTTP/1.1', 'host: b:443')],
  [400, 'bad-path', lines('GET /public/..%2fadmin HTTP/1.1', 'host: a')],
  [400, 'bad-header', lines('GET / HTTP/1.1', 'host : a')],
  [400, 'bad-header', lines('GET / HTTP/1.1', 'host: a', ' folded')],
  [400, 'bad-header', lines('GET / HTTP/1.1', ' host: a')],
  [400, 'bad-header', lines('GET / HTTP/1.1', 'host: a', '\tfolded: x')],
  [400, 'bad-header', lines('GET / HTTP/1.1', 'host: a', ': x')],
  [400, 'bad-header', lines('GET / HTTP/1.1', 'host: a', 'no colon')],
  [400, 'bad-header', lines('GET / HTTP/1.1', 'host: a', 'x"y: 1')],
  [400, 'bad-header', lines('GET / HTTP/1.1', 'host: a', 'x\x00y: 1')],
  [400, 'bad-header', lines('GET / HTTP/1.1', 'host: a', 'x\xe9: 1')],
  [400, 'bad-header', lines('GET / HTTP/1.1', 'host: a', 'x: a\x00b')],
  [400, 'bad-header', lines('GET / HTTP/1.1', 'host: a', 'x: a\x7fb')],
  [400, 'bad-header', lines('GET / HTTP/1.1', 'host: a', 'x: a\x0bb')],
  [400, 'bad-framing', lines('POST / HTTP/1.1', 'host: a', 'content-length: 1', 'transfer-encoding: chunked')],
  [400, 'bad-framing', lines('POST / HTTP/1.1', 'host: a', 'transfer-encoding: chunked', 'content-length: 1')],
  [400, 'bad-framing', lines('POST / HTTP/1.1', 'host: a', 'content-length: 1', 'content-length: 2')],
  [400, 'bad-framing', lines('POST / HTTP/1.1', 'host: a', 'content-length: 1', 'content-length: 1')],
  [400, 'bad-framing', lines('POST / HTTP/1.1', 'host: a', 'content-length: 1, 1')],
  [400, 'bad-framing', lines('POST / HTTP/1.1', 'host: a', 'content-length: +1')],
  [400, 'bad-framing', lines('POST / HTTP/1.1', 'host: a', 'content-length: -1')],
  [400, 'bad-framing', lines('POST / HTTP/1.1', 'host: a', 'content-length: 0x1')],
  [400, 'bad-framing', lines('POST / HTTP/1.1', 'host: a', 'content-length: 1 2')],
  [400, 'bad-framing', lines('POST / HTTP/1.1', 'host: a', 'content-length:')],
  [400, 'bad-framing', lines('POST / HTTP/1.1', 'host: a', 'content-length: 9999999999999999')],
  [400, 'bad-framing', lines('POST / HTTP/1.1', 'host: a', 'transfer-encoding: gzip, chunked')],
  [400, 'bad-framing', lines('POST / HTTP/1.1', 'host: a', 'transfer-encoding: chunked, gzip')],
  [400, 'bad-framing', lines('POST / HTTP/1.1', 'host: a', 'transfer-encoding: gzip')],
  [400, 'bad-framing', lines('POST / HTTP/1.1', 'host: a', 'transfer-encoding: identity')],
  [400, 'bad-framing', lines('POST / HTTP/1.1', 'host: a', 'transfer-encoding: xchunked')],
  [400, 'bad-framing', lines('POST / HTTP/1.1', 'host: a', 'transfer-encoding: chunked;q=1')],
  [400, 'bad-framing', lines('POST / HTTP/1.1', 'host: a', 'transfer-encoding:')],
  [400, 'bad-framing', lines('POST / HTTP/1.1', 'host: a', 'transfer-encoding: chunked', 'transfer-encoding: chunked')],
  [400, 'bad-framing', lines('POST / HTTP/1.0', 'host: a', 'transfer-encoding: chunked')],
  [417, 'bad-expect', lines('POST / HTTP/1.1', 'host: a', 'expect: 200-ok')],
  [414, 'uri-too-long', `GET /${'a'.repeat(8192)}`],
  [414, 'uri-too-long', `GET /?${'a'.repeat(8192)} HTTP/1.1\r\n`],
  [431, 'headers-too-large', `GET / HTTP/1.1\r\nhost: a\r\nx: ${'a'.repeat(32 * 1024)}`],
  [431, 'headers-too-large', `GET / HTTP/1.1\r\nhost: a\r\n${'a'.repeat(32 * 1024)}`],
  [431, 'headers-too-large', `GET / HTTP/1.1\r\nhost: a\r\n${'x: y\r\n'.repeat(100)}\r\n`],
];

describe('refuses', () => {
  test.each(
    REFUSED.map(([status, code, text]) => [status, code, text.length > 90 ? `${text.slice(0, 90)}…` : text, text]),
  )('%i %s %j', (status, code, _shown, text) => {
    expect(outcome(text)).toMatchObject({ status, code });
  });

  test('limits are configurable and exact', () => {
    const text = lines('GET /abc HTTP/1.1', 'host: a');
    const exact = { ...LIMITS, requestLineBytes: 19, headerBytes: 11, headerCount: 1 };
    expect(parse(text, exact).result).toBe(text.length);
    expect(outcome(text, { ...exact, requestLineBytes: 18 })).toMatchObject({ status: 414 });
    expect(outcome(text, { ...exact, headerBytes: 10 })).toMatchObject({ status: 431 });
    expect(outcome(text, { ...exact, headerCount: 0 })).toMatchObject({ status: 431 });
  });
});

describe('where the bytes are split does not matter', () => {
  const token = fc.stringMatching(/^[A-Za-z0-9-]{1,12}$/);
  const junk = fc.string({ unit: fc.constantFrom(...' \t\r\n:/;,.%?#*"ab01\x00\xff'), maxLength: 12 });
  const line = fc.oneof(
    fc.tuple(token, junk).map(([name, value]) => `${name}: ${value}`),
    fc.constantFrom(
      'host: a',
      'content-length: 3',
      'transfer-encoding: chunked',
      'connection: close',
      'x-long: abcdefghijkl',
    ),
    junk,
  );
  const message = fc.oneof(
    fc.constantFrom(...REFUSED.map(([, , text]) => text).filter((text) => text.length < 200)),
    fc
      .tuple(
        fc.constantFrom('GET', 'POST', 'X', ''),
        fc.oneof(junk, fc.constant('/a/../b')),
        fc.array(line, { maxLength: 5 }),
      )
      .map(([method, target, fields]) => lines(`${method} ${target} HTTP/1.1`, 'host: a', ...fields)),
  );
  const small: RequestHeadLimits = { ...LIMITS, requestLineBytes: 40, headerBytes: 80, headerCount: 4 };

  test('a prefix is incomplete, or already what the whole is', () => {
    fc.assert(
      fc.property(message, fc.boolean(), (text, tight) => {
        const limits = tight ? small : LIMITS;
        const whole = outcome(text, limits);
        for (let length = 1; length < text.length; length++) {
          const part = outcome(text.slice(0, length), limits);
          if (part !== 'incomplete') expect(part).toEqual(whole);
        }
      }),
      { numRuns: 400 },
    );
  });
});
