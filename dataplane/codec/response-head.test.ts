import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DEFAULT_HEAD_LIMITS, INCOMPLETE } from './fields.ts';
import { refusalOf } from './refusals.ts';
import { parseResponseHead, ResponseHead } from './response-head.ts';

function outcome(text: string): unknown {
  const bytes = Buffer.from(text, 'latin1');
  const head = new ResponseHead();
  const result = parseResponseHead(bytes, 0, bytes.length, DEFAULT_HEAD_LIMITS, head);
  if (result < 0) return refusalOf(result).code;
  return result === INCOMPLETE ? 'incomplete' : { ...head, end: result };
}

const lines = (...all: string[]): string => `${all.join('\r\n')}\r\n\r\n`;

test.each<[string, object]>([
  [
    lines('HTTP/1.1 200 OK', 'Content-Length: 5', 'X: 1'),
    { status: 200, minor: 1, contentLength: 5, keepAlive: true, fields: ['x', '1'] },
  ],
  [lines('HTTP/1.1 200', 'x: 1'), { status: 200 }],
  [lines('HTTP/1.1 404 ', 'x: 1'), { status: 404 }],
  [lines('HTTP/1.1 200 Schön \xff'), { status: 200, fields: [] }],
  [lines('HTTP/1.0 200 OK'), { minor: 0, keepAlive: false, contentLength: -1, chunked: false }],
  [lines('HTTP/1.0 200 OK', 'connection: keep-alive'), { keepAlive: true }],
  [lines('HTTP/1.1 200 OK', 'connection: close'), { keepAlive: false }],
  [lines('HTTP/1.1 204 No Content', 'content-length: 4'), { keepAlive: false }],
  [lines('HTTP/1.1 204 No Content', 'content-length: 0'), { keepAlive: true }],
  [lines('HTTP/1.1 100 Continue', 'content-length: 0'), { status: 100 }],
  [lines('HTTP/1.1 200 OK', 'transfer-encoding: chunked'), { chunked: true }],
  [lines('HTTP/1.1 101 x', 'upgrade: websocket', 'connection: upgrade'), { upgrade: 'websocket', fields: [] }],
  [
    lines('HTTP/1.1 200 OK', 'a: 1', 'connection: A, b', 'b: 2', 'keep-alive: x', 'c: 3', 'date: d'),
    { fields: ['c', '3', 'date', 'd'] },
  ],
  [lines('HTTP/1.1 200 OK', 'set-cookie: a', 'set-cookie: b'), { fields: ['set-cookie', 'a', 'set-cookie', 'b'] }],
])('accepts %j', (text, expected) => {
  expect(outcome(text)).toMatchObject({ ...expected, end: text.length });
});

const REFUSED: [string, string][] = [
  ['bad-status-line', lines('HTTP/2 200 OK')],
  ['bad-status-line', lines('HTTP/1.2 200 OK')],
  ['bad-status-line', lines('http/1.1 200 OK')],
  ['bad-status-line', lines('HTTP/1.1  200 OK')],
  ['bad-status-line', lines('HTTP/1.1 20 OK')],
  ['bad-status-line', lines('HTTP/1.1 2000 OK')],
  ['bad-status-line', lines('HTTP/1.1 099 OK')],
  ['bad-status-line', lines('HTTP/1.1 600 OK')],
  ['bad-status-line', lines('HTTP/1.1 200 O\x00K')],
  ['bad-status-line', '<html></html>\r\n'],
  ['bad-line-end', 'HTTP/1.1 200 OK\nx: 1\n\n'],
  ['bad-line-end', 'HTTP/1.1 200\nx: 1\n\n'],
  ['bad-line-end', 'HTTP/1.1 200 OK\r\nx: 1\n\r\n'],
  ['bad-header', lines('HTTP/1.1 200 OK', 'x : 1')],
  ['bad-header', lines('HTTP/1.1 200 OK', 'x: 1', ' folded')],
  ['bad-framing', lines('HTTP/1.1 200 OK', 'content-length: 1', 'content-length: 2')],
  ['bad-framing', lines('HTTP/1.1 200 OK', 'content-length: 1, 1')],
  ['bad-framing', lines('HTTP/1.1 200 OK', 'content-length: 1', 'transfer-encoding: chunked')],
  ['bad-framing', lines('HTTP/1.1 200 OK', 'transfer-encoding: gzip, chunked')],
  ['bad-framing', lines('HTTP/1.0 200 OK', 'transfer-encoding: chunked')],
  ['bad-framing', lines('HTTP/1.1 103 Early Hints', 'content-length: 1')],
  ['bad-framing', lines('HTTP/1.1 107 x', 'transfer-encoding: chunked')],
  ['bad-framing', lines('HTTP/1.1 200 OK', 'content-length:\t1')],
  ['bad-framing', lines('HTTP/1.1 200 OK', 'transfer-encoding: chunked\t')],
  ['headers-too-large', `HTTP/1.1 200 ${'x'.repeat(9000)}`],
  ['headers-too-large', `HTTP/1.1 200 OK\r\nx: ${'x'.repeat(40_000)}`],
];

describe('refuses', () => {
  test.each(REFUSED.map(([code, text]) => [code, text.slice(0, 80), text]))('%s %j', (code, _shown, text) => {
    expect(outcome(text)).toBe(code);
  });
});

test('where the bytes are split does not matter', () => {
  const junk = fc.string({ unit: fc.constantFrom(...' \t\r\n:,ab01\x00\xff'), maxLength: 10 });
  const message = fc.oneof(
    fc.constantFrom(...REFUSED.map(([, text]) => text).filter((text) => text.length < 200)),
    fc
      .tuple(junk, fc.array(junk, { maxLength: 4 }))
      .map(([reason, fields]) => lines(`HTTP/1.1 200 ${reason}`, ...fields)),
  );
  fc.assert(
    fc.property(message, (text) => {
      const whole = outcome(text);
      for (let length = 1; length < text.length; length++) {
        const part = outcome(text.slice(0, length));
        if (part !== 'incomplete') expect(part).toEqual(whole);
      }
    }),
    { numRuns: 300 },
  );
});
