/** Responses that two readers could cut differently, and honest ones close to them. What follows a response on its connection must never be taken for another. */

export interface ResponseCase {
  readonly name: string;
  /** One character a byte; then the backend closes. */
  readonly bytes: string;
  /** The method it answers; left out: GET. */
  readonly method?: string;
  /** What the client gets: status and body, complete; or 502 before its head; or a broken one. */
  readonly outcome: { readonly status: number; readonly body: string } | 'bad-gateway' | 'broken';
}

const whole = (name: string, bytes: string, status: number, body: string, method = 'GET'): ResponseCase => ({
  name,
  bytes,
  method,
  outcome: { status, body },
});
const bad = (name: string, bytes: string): ResponseCase => ({ name, bytes, outcome: 'bad-gateway' });
const broken = (name: string, bytes: string): ResponseCase => ({ name, bytes, outcome: 'broken' });
const head = (...fields: string[]): string =>
  ['HTTP/1.1 200 OK', ...fields]
    .map((line) => `${line}\r\n`)
    .join('')
    .concat('\r\n');

const EVIL = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil';

export const RESPONSES: readonly ResponseCase[] = [
  whole('a length', `${head('Content-Length: 3')}abc`, 200, 'abc'),
  whole('chunks', `${head('Transfer-Encoding: chunked')}3\r\nabc\r\n0\r\n\r\n`, 200, 'abc'),
  whole(
    'chunks with extension and trailer',
    `${head('Transfer-Encoding: chunked')}3;x\r\nabc\r\n0\r\nX: 1\r\n\r\n`,
    200,
    'abc',
  ),
  whole('until the close', `${head('X: 1')}abc`, 200, 'abc'),
  whole('HTTP/1.0 until the close', 'HTTP/1.0 200 OK\r\n\r\nabc', 200, 'abc'),
  whole('a second one behind it', `${head('Content-Length: 3')}abc${EVIL}`, 200, 'abc'),
  whole('more than its length', `${head('Content-Length: 3')}abcdef`, 200, 'abc'),
  whole(
    'interim ones before it',
    `HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n${head('Content-Length: 3')}abc`,
    200,
    'abc',
  ),
  bad(
    'an interim one with a length',
    `HTTP/1.1 103 Early Hints\r\nContent-Length: ${EVIL.length}\r\n\r\n${head('Content-Length: 3')}abc`,
  ),
  bad(
    'an interim one with chunks',
    `HTTP/1.1 107 x\r\nTransfer-Encoding: chunked\r\n\r\n${head('Content-Length: 3')}abc`,
  ),
  whole(
    'an interim one with a length of 0',
    `HTTP/1.1 100 Continue\r\nContent-Length: 0\r\n\r\n${head('Content-Length: 3')}abc`,
    200,
    'abc',
  ),
  whole('204 with a length', `HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nevil`, 204, ''),
  whole('304 with a length', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\n', 304, ''),
  whole('to HEAD, with a length', head('Content-Length: 4'), 200, '', 'HEAD'),
  whole('to HEAD, with a body all the same', `${head('Content-Length: 4')}evil`, 200, '', 'HEAD'),
  whole('no reason', 'HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n', 200, ''),
  bad('both framings', `${head('Content-Length: 3', 'Transfer-Encoding: chunked')}3\r\nabc\r\n0\r\n\r\n`),
  bad('two lengths', `${head('Content-Length: 3', 'Content-Length: 4')}abcd`),
  bad('two equal lengths', `${head('Content-Length: 3', 'Content-Length: 3')}abc`),
  ...['+3', '3, 3', '0x3', '', '-1', '99999999999999999999', '3 3'].map((value) =>
    bad(`a length of ${JSON.stringify(value)}`, `${head(`Content-Length: ${value}`)}abc`),
  ),
  ...['gzip', 'xchunked', 'chunked, gzip', 'gzip, chunked', 'chunked, chunked', 'identity', ''].map((value) =>
    bad(`a coding of ${JSON.stringify(value)}`, `${head(`Transfer-Encoding: ${value}`)}3\r\nabc\r\n0\r\n\r\n`),
  ),
  bad('codings twice', `${head('Transfer-Encoding: chunked', 'Transfer-Encoding: chunked')}0\r\n\r\n`),
  bad('chunks in HTTP/1.0', 'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'),
  bad('a space before the colon', `${head('Content-Length : 3')}abc`),
  bad('a folded field', head('X: 1', ' y')),
  bad('bare LF', 'HTTP/1.1 200 OK\nContent-Length: 0\n\n'),
  bad('bare CR in a value', head('X: a\rb')),
  bad('a NUL in a value', head('X: \x00')),
  bad('HTTP/0.9', '<html>abc</html>\r\n\r\n'),
  bad('another protocol', 'SSH-2.0-x\r\n'),
  bad('HTTP/2.0', 'HTTP/2.0 200 OK\r\n\r\n'),
  bad('a status of two digits', 'HTTP/1.1 20 OK\r\n\r\n'),
  bad('a status of 999', 'HTTP/1.1 999 OK\r\n\r\n'),
  bad(
    'a switch that nobody asked for',
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n',
  ),
  bad('interim ones without end', 'HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(100)),
  bad('an end in the head', 'HTTP/1.1 200 OK\r\nContent-Le'),
  bad('an end before the head', ''),
  bad('too large a head', head(`X: ${'x'.repeat(70_000)}`)),
  broken('an end within the length', `${head('Content-Length: 5')}abc`),
  broken('an end within a chunk', `${head('Transfer-Encoding: chunked')}5\r\nabc`),
  broken('an end before the last chunk', `${head('Transfer-Encoding: chunked')}3\r\nabc\r\n`),
  broken('an end within the trailers', `${head('Transfer-Encoding: chunked')}3\r\nabc\r\n0\r\nX: 1\r\n`),
  ...[
    '3\nabc\r\n0\r\n\r\n',
    '0x3\r\nabc\r\n0\r\n\r\n',
    '3\r\nabcd\r\n0\r\n\r\n',
    '3;\x00\r\nabc\r\n0\r\n\r\n',
    'ffffffffffffffff\r\nabc',
    '3\r\nabc\r\n0\r\nX : 1\r\n\r\n',
  ].map((chunks) => broken(`chunks ${JSON.stringify(chunks)}`, `${head('Transfer-Encoding: chunked')}${chunks}`)),
];
