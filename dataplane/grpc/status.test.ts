import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { callKindOf, GRPC, NO_CALL, WEB, WEB_TEXT } from './call.ts';
import { encodeMessage, NO_STATUS, readStatus, statusOfAnswer } from './status.ts';
import { formatTimeout, parseTimeout } from './timeout.ts';

test.each([
  ['application/grpc', GRPC],
  ['application/grpc+proto', GRPC],
  ['application/grpc;charset=x', GRPC],
  ['application/grpc-web', WEB],
  ['application/grpc-web+proto', WEB],
  ['application/grpc-web-text', WEB_TEXT],
  ['application/grpc-web-text+proto', WEB_TEXT],
  ['application/grpcx', NO_CALL],
  ['application/grpc-webx', NO_CALL],
  ['application/grpc-web-textx', NO_CALL],
  ['application/json', NO_CALL],
  ['', NO_CALL],
])('content type %j', (type, kind) => expect(callKindOf(type)).toBe(kind));

test.each([
  [400, 13],
  [401, 16],
  [403, 7],
  [404, 12],
  [408, 4],
  [413, 8],
  [429, 8],
  [431, 8],
  [499, 1],
  [500, 13],
  [502, 14],
  [503, 14],
  [504, 4],
  [302, 2],
  [418, 2],
])('an answer of %d is status %d', (http, grpc) => expect(statusOfAnswer(http)).toBe(grpc));

test('the status of a response', () => {
  expect(readStatus(['content-type', 'application/grpc', 'grpc-status', '14'])).toBe(14);
  expect(readStatus(['grpc-status', '0'])).toBe(0);
  expect(readStatus(['x', 'grpc-status'])).toBe(NO_STATUS);
  for (const odd of ['', '17', '-1', 'OK', '1.0', '0014']) expect(readStatus(['grpc-status', odd])).toBe(2);
});

test('property: a message is printable ASCII and comes back as it was', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (message) => {
      const encoded = encodeMessage(message);
      expect(encoded).toMatch(/^[ -~]*$/);
      expect(decodeURIComponent(encoded)).toBe(Buffer.from(message).toString());
    }),
  );
});

describe('grpc-timeout', () => {
  test.each([
    ['1H', 3_600_000],
    ['2M', 120_000],
    ['3S', 3000],
    ['99999999m', 99_999_999],
    ['500u', 0.5],
    ['1000000n', 1],
    ['0m', 0],
    ['123456789m', -1],
    ['m', -1],
    ['', -1],
    ['1', -1],
    ['-1S', -1],
    ['1.5S', -1],
    ['1s', -1],
    ['1 S', -1],
  ])('%j: %d ms', (text, ms) => expect(parseTimeout(text)).toBeCloseTo(ms, 9));

  test('property: what is left never grows, and is never nothing', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1e14, noNaN: true }), (ms) => {
        const said = parseTimeout(formatTimeout(ms));
        expect(said).toBeGreaterThan(0);
        expect(said).toBeLessThanOrEqual(Math.max(1, ms));
      }),
    );
  });
});
