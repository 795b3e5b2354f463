import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  CHUNK_BAD,
  CHUNK_DATA,
  CHUNK_END,
  CHUNK_MORE,
  ChunkedDecoder,
  chunkHead,
  DEFAULT_CHUNK_LIMITS,
  lastChunk,
} from './chunked.ts';

interface Decoded {
  readonly body: string;
  readonly outcome: 'end' | 'bad' | 'more';
  readonly trailers: string[] | null;
  readonly rest: string;
}

/** Decodes `text` given in the pieces that `cuts` make. */
function decode(text: string, cuts: readonly number[] = [], limits = DEFAULT_CHUNK_LIMITS): Decoded {
  const decoder = new ChunkedDecoder(limits);
  const edges = [...new Set([...cuts.filter((cut) => cut > 0 && cut < text.length), text.length])].sort(
    (a, b) => a - b,
  );
  let body = '';
  let from = 0;
  for (const edge of edges) {
    const piece = Buffer.from(text.slice(from, edge), 'latin1');
    decoder.at = 0;
    for (;;) {
      const found = decoder.step(piece, piece.length);
      if (found === CHUNK_DATA) body += piece.toString('latin1', decoder.dataStart, decoder.dataEnd);
      else if (found === CHUNK_BAD) return { body, outcome: 'bad', trailers: null, rest: '' };
      else if (found === CHUNK_END) {
        return { body, outcome: 'end', trailers: decoder.trailers, rest: text.slice(from + decoder.at) };
      } else if (found === CHUNK_MORE) break;
    }
    from = edge;
  }
  return { body, outcome: 'more', trailers: null, rest: '' };
}

const encoded = (chunks: readonly string[], trailers: readonly string[] | null): string =>
  chunks
    .filter((chunk) => chunk !== '')
    .map((chunk) => `${chunkHead(chunk.length)}${chunk}\r\n`)
    .join('') + lastChunk(trailers);

test('what the encoder writes the decoder reads, split anywhere', () => {
  const chunks = fc.array(fc.string({ unit: fc.constantFrom(...'\r\n0;a'), maxLength: 40 }), { maxLength: 6 });
  const trailers = fc.array(fc.tuple(fc.stringMatching(/^x-[a-z]{1,8}$/), fc.stringMatching(/^[a-z]{0,8}$/)), {
    maxLength: 3,
  });
  fc.assert(
    fc.property(chunks, trailers, fc.string(), fc.array(fc.nat(300), { maxLength: 8 }), (parts, fields, rest, cuts) => {
      const safe = rest.replace(/[^\x00-\x7f]/g, '');
      const text = encoded(parts, fields.flat()) + safe;
      const expected = { body: parts.join(''), outcome: 'end', trailers: fields.length > 0 ? fields.flat() : null };
      expect(decode(text)).toMatchObject({ ...expected, rest: safe });
      // With cuts the rest may lie beyond the last piece: only what belongs to the body is compared.
      const { rest: _, ...split } = decode(text, cuts);
      expect(split).toEqual(expected);
    }),
  );
});

test('extensions are read over, within their bound', () => {
  expect(decode('3;a=b;c="d e"\r\nabc\r\n0;x\r\n\r\n')).toMatchObject({ body: 'abc', outcome: 'end' });
  expect(decode('3;a ; b = "\\"" ;c\r\nabc\r\n0\r\n\r\n')).toMatchObject({ body: 'abc', outcome: 'end' });
  expect(decode('3 ;a\r\nabc\r\n0\r\n\r\n')).toMatchObject({ body: 'abc', outcome: 'end' });
  const limits = { ...DEFAULT_CHUNK_LIMITS, extensionBytes: 10 };
  expect(decode(`1;${'x'.repeat(10)}\r\na\r\n`, [], limits).outcome).toBe('more');
  expect(decode(`1;${'x'.repeat(11)}\r\na\r\n`, [], limits).outcome).toBe('bad');
  expect(decode('1;xxx\r\na\r\n'.repeat(4), [], limits).outcome).toBe('bad');
});

test('trailers that would change what the message means are dropped', () => {
  const { trailers } = decode(
    '0\r\nX-A: 1\r\nContent-Length: 5\r\nTransfer-Encoding: x\r\nHost: b\r\nAuthorization: z\r\nX-Request-Id: 2\r\n\r\n',
  );
  expect(trailers).toEqual(['x-a', '1']);
});

test.each([
  ['size without digits', '\r\n'],
  ['sign', '+1\r\na\r\n'],
  ['prefix', '0x1\r\na\r\n'],
  ['leading space', ' 1\r\na\r\n'],
  ['trailing space', '1 \r\na\r\n'],
  ['bare LF after the size', '1\na\r\n'],
  ['CR without LF after the size', '1\ra\r\n'],
  ['size beyond the exact integers', 'fffffffffffffff\r\n'],
  ['more than 16 digits', '00000000000000001\r\na\r\n'],
  ['data longer than its size', '1\r\nab\r\n'],
  ['data ended by LF', '1\r\na\n'],
  ['extension without a name', '1;\r\na\r\n'],
  ['extension that is no token', '1;\xe4\r\na\r\n'],
  ['extension without its value', '1;a=\r\na\r\n'],
  ['extension whose quotes do not end', '1;a="b\r\na\r\n'],
  ['space behind an extension', '1;a \r\na\r\n'],
  ['control character in an extension', '1;\x00\r\na\r\n'],
  ['bare LF in an extension', '1;a\nb\r\n'],
  ['bare LF after the last chunk', '0\n\r\n'],
  ['malformed trailer', '0\r\nx : 1\r\n\r\n'],
  ['bare LF in trailers', '0\r\nx: 1\n\r\n'],
  ['trailers too large', `0\r\nx: ${'a'.repeat(9000)}\r\n\r\n`],
])('refuses %s', (_name, text) => {
  expect(decode(text).outcome).toBe('bad');
  for (let cut = 1; cut < Math.min(text.length, 40); cut++) expect(decode(text, [cut]).outcome).toBe('bad');
});

describe('an unfinished body', () => {
  const whole = encoded(['hello', 'x'.repeat(20)], ['x-a', '1']);
  test.each(Array.from({ length: whole.length - 1 }, (_, i) => i + 1))('of %i bytes is no end', (length) => {
    expect(decode(whole.slice(0, length)).outcome).toBe('more');
  });
});
