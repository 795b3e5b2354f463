/** Inputs from inputs. All text is one character a byte; the same seed makes the same inputs. */

export type Random = () => number;

/** 0 up to 1, from 32 bits of seed (mulberry32). */
export function seeded(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

export const below = (random: Random, limit: number): number => Math.floor(random() * limit);
export const pick = <T>(random: Random, from: readonly T[]): T => from[below(random, from.length)] as T;

const MAX_LENGTH = 2048;

/** What parsers stumble over. */
const TOKENS = [
  '\r\n',
  '\n',
  '\r',
  '\r\r\n',
  '\n\r',
  '\r\n\r\n',
  '\r\n\r\n\r\n',
  ' ',
  '\t',
  '\x0b',
  '\x0c',
  '\x00',
  '\x7f',
  '\x85',
  '\xa0',
  '\xff',
  ':',
  ';',
  ',',
  '"',
  '=',
  '0',
  '00',
  '-',
  '+',
  '0x',
  '_',
  'e',
  '3',
  'fffffffff',
  'ffffffffffffffff',
  '100000000000000000',
  '9007199254740993',
  '4294967296',
  'Transfer-Encoding: chunked\r\n',
  'Transfer-Encoding : chunked\r\n',
  'Transfer-Encoding:\tchunked\r\n',
  'transfer-encoding:chunked\r\n',
  'Transfer-Encoding: xchunked\r\n',
  'Transfer-Encoding: chunked, identity\r\n',
  'Transfer-Encoding: identity\r\n',
  'Transfer_Encoding: chunked\r\n',
  'Content-Length: 3\r\n',
  'Content-Length: 0\r\n',
  'Content-Length: +3\r\n',
  'Content-Length: 3, 3\r\n',
  'Content-Length : 3\r\n',
  'Content-Length: 03\r\n',
  'Connection: close\r\n',
  'Connection: keep-alive\r\n',
  'Connection: content-length\r\n',
  'Connection: upgrade\r\nUpgrade: x\r\n',
  'Expect: 100-continue\r\n',
  'Host: a\r\n',
  'Host: b\r\n',
  'X: 1\r\n',
  'Trailer: x\r\n',
  ' folded\r\n',
  '0\r\n\r\n',
  '0\r\nX: 1\r\n\r\n',
  '3\r\nabc\r\n',
  '3;x=y\r\nabc\r\n',
  '3 ;x\r\nabc\r\n',
  'abc',
  'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
  'POST / HTTP/1.1\r\nHost: a\r\n',
  'HTTP/1.1',
  'HTTP/1.0',
  'HTTP/2.0',
  'HTTP/0.9',
  'HEAD',
  'CONNECT',
  'OPTIONS * ',
  'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  'http://a/',
  'http://b',
  '/..',
  '/%2e%2e',
  '%2f',
  '%00',
  '?',
  '#',
  '\\',
  '//',
  'HTTP/1.1 200 OK\r\n',
  'HTTP/1.1 100 Continue\r\n\r\n',
  'HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n',
  'HTTP/1.1 204 No Content\r\n\r\n',
  'HTTP/1.1 304 Not Modified\r\n',
  'HTTP/1.0 200 OK\r\n',
];

/** `input` with one to six changes; `others` lend parts. */
export function mutate(input: string, others: readonly string[], random: Random): string {
  let text = input;
  for (let changes = random() < 0.6 ? 1 : 1 + below(random, 5); changes > 0; changes--)
    text = change(text, others, random);
  return text.slice(0, MAX_LENGTH);
}

function change(text: string, others: readonly string[], random: Random): string {
  const at = below(random, text.length + 1);
  const length = 1 + below(random, random() < 0.7 ? 4 : 40);
  switch (below(random, 10)) {
    case 0:
      return text.slice(0, at) + String.fromCharCode(below(random, 256)) + text.slice(at + 1);
    case 1:
      return text.slice(0, at) + text.slice(at + length);
    case 2:
      return text.slice(0, at) + text.slice(at, at + length) + text.slice(at);
    case 3: {
      const other = pick(random, others);
      const from = below(random, other.length);
      return text.slice(0, at) + other.slice(from, from + 1 + below(random, 60)) + text.slice(at);
    }
    case 4:
      return text + pick(random, others);
    case 5:
      return atLine(text, random, (line) => line + line);
    case 6:
      return atLine(text, random, () => '');
    case 7:
      return text.slice(0, at) + swapCase(text.slice(at, at + length)) + text.slice(at + length);
    default: {
      // At a line's start as often as anywhere: most tokens are lines.
      const token = pick(random, TOKENS);
      const place = random() < 0.5 ? text.indexOf('\n', at) + 1 : at;
      return text.slice(0, place) + token + text.slice(place + (random() < 0.3 ? token.length : 0));
    }
  }
}

function atLine(text: string, random: Random, edit: (line: string) => string): string {
  const lines = text.split(/(?<=\n)/);
  const i = below(random, lines.length);
  lines[i] = edit(lines[i] ?? '');
  return lines.join('');
}

function swapCase(text: string): string {
  return text.replace(/[a-z]/gi, (letter) => (letter < 'a' ? letter.toLowerCase() : letter.toUpperCase()));
}
