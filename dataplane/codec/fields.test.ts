import { expect, test } from 'vitest';
import { DEFAULT_HEAD_LIMITS, fieldCount, fieldName, fieldValue, INCOMPLETE, scanFields } from './fields.ts';
import { BAD_FIELD_VALUE, BAD_LINE_END } from './refusals.ts';

const ALLOWED = (byte: number) => byte === 9 || (byte >= 0x20 && byte !== 0x7f);

/** The section, in a larger buffer at an odd place, as it lies after a request line. */
function scan(section: Buffer): { result: number; text: string } {
  const bytes = Buffer.alloc(section.length + 7, 'X').subarray(3);
  section.copy(bytes);
  return {
    result: scanFields(bytes, 0, section.length, DEFAULT_HEAD_LIMITS),
    text: bytes.toString('latin1', 0, section.length),
  };
}

test('each byte at each place of a value is taken or refused as it would be alone', () => {
  for (let length = 1; length <= 11; length++) {
    for (let place = 0; place < length; place++) {
      for (let byte = 0; byte < 256; byte++) {
        const value = Buffer.alloc(length, 'v');
        value[place] = byte;
        const { result, text } = scan(Buffer.concat([Buffer.from('a:'), value, Buffer.from('\r\n\r\n')]));
        if (ALLOWED(byte)) {
          expect([result, fieldCount(), fieldName(0, text, 0)]).toEqual([length + 6, 1, 'a']);
          expect(fieldValue(0, text, 0)).toBe(value.toString('latin1').replace(/^[ \t]+|[ \t]+$/g, ''));
        } else {
          const lineEnd = byte === 10 || byte === 13;
          expect(result, `byte ${byte} at ${place} of ${length}`).toBe(lineEnd ? BAD_LINE_END : BAD_FIELD_VALUE);
        }
      }
    }
  }
});

test('a section in parts is incomplete wherever it is cut', () => {
  const section = Buffer.from(`authorization: Bearer ${'0123456789'.repeat(9)}\r\nx-a: \xff\x80é\r\n\r\n`, 'latin1');
  for (let end = 0; end < section.length; end++) expect(scan(section.subarray(0, end)).result).toBe(INCOMPLETE);
  expect(scan(section).result).toBe(section.length);
});
