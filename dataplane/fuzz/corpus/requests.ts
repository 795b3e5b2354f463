/**
 * Known ways to have two servers read one connection differently, as requests: what is public on request smuggling and desync (Kettle's "HTTP Desync
 * Attacks", "HTTP/1.1 must die" and their tools, the CVEs of parsers, RFC 9112 section 11.2), and honest requests close to them.
 */

export interface RequestCase {
  readonly name: string;
  /** One character a byte. */
  readonly bytes: string;
  /** What the backend is to see: method, target and body of each. */
  readonly seen: readonly string[];
  /** Why reading ends; null: it does not, or by right. */
  readonly refused: string | null;
}

const NEXT = 'GET /next HTTP/1.1\r\nHost: a\r\n\r\n';
const SMUGGLED = 'GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n';
const CHUNKS = '3\r\nabc\r\n0\r\n\r\n';

/** POST / with `fields` (lines with their ends) and `body`, and a request behind it. */
const post = (fields: string, body: string, next = NEXT): string =>
  `POST / HTTP/1.1\r\nHost: a\r\n${fields}\r\n${body}${next}`;

const refused = (name: string, refusedAs: string, bytes: string, seen: readonly string[] = []): RequestCase => ({
  name,
  bytes,
  seen,
  refused: refusedAs,
});
const taken = (name: string, bytes: string, ...seen: readonly string[]): RequestCase => ({
  name,
  bytes,
  seen,
  refused: null,
});
const framing = (name: string, fields: string, body = CHUNKS): RequestCase =>
  refused(name, 'bad-framing', post(fields, body));

const TE = 'Transfer-Encoding: chunked\r\n';

export const REQUESTS: readonly RequestCase[] = [
  // Both framings.
  framing('CL.TE', `Content-Length: 6\r\n${TE}`, `0\r\n\r\n${SMUGGLED}`),
  framing('TE.CL', `${TE}Content-Length: 4\r\n`, `1e\r\n${SMUGGLED.slice(0, 30)}\r\n0\r\n\r\n`),
  framing('CL and TE that agree', `Content-Length: 13\r\n${TE}`),
  framing('CL of 0 with TE', `Content-Length: 0\r\n${TE}`),
  // Transfer-Encoding that one side overlooks.
  ...[
    'xchunked',
    'chunkedx',
    'chunked, identity',
    'identity, chunked',
    'chunked, chunked',
    'gzip, chunked',
    'identity',
    'chunked;x=1',
    '"chunked"',
    'chunked,',
    ',chunked',
    'chunk',
    'cow',
    '',
    'chunked chunked',
    '\xa0chunked',
    'chunked\xa0',
    'chunKed\x85',
    'x, chunked',
  ].map((value) => framing(`TE of ${JSON.stringify(value)}`, `Transfer-Encoding: ${value}\r\n`)),
  ...['\x0bchunked', 'chunked\x0b', '\x0cchunked', 'chunked\x00', 'chun\x7fked', '\x08chunked'].map((value) =>
    refused(`TE of ${JSON.stringify(value)}`, 'bad-header', post(`Transfer-Encoding: ${value}\r\n`, CHUNKS)),
  ),
  framing('TE twice', TE + TE),
  framing('TE twice, the second of another value', `${TE}Transfer-Encoding: identity\r\n`),
  framing('TE twice, the first of another value', `Transfer-Encoding: x\r\n${TE}`),
  refused('TE with a space before the colon', 'bad-header', post('Transfer-Encoding : chunked\r\n', CHUNKS)),
  refused('TE with a tab before the colon', 'bad-header', post('Transfer-Encoding\t: chunked\r\n', CHUNKS)),
  refused('TE behind a space', 'bad-header', post(' Transfer-Encoding: chunked\r\n', CHUNKS)),
  refused('TE in a folded line', 'bad-header', post('X: y\r\n Transfer-Encoding: chunked\r\n', CHUNKS)),
  refused('TE folded', 'bad-header', post('Transfer-Encoding:\r\n chunked\r\n', CHUNKS)),
  refused('TE behind a bare LF', 'bad-line-end', post(`X: y\n${TE}`, CHUNKS)),
  refused('TE behind a bare CR', 'bad-line-end', post(`X: y\rTransfer-Encoding: chunked\r\n`, CHUNKS)),
  refused('TE behind CR CR LF', 'bad-line-end', post(`X: y\r\r\n${TE}`, CHUNKS)),
  refused('TE behind a NUL', 'bad-header', post(`X: y\x00\r\n${TE}`, CHUNKS)),
  refused('a control character in the name', 'bad-header', post('Transfer-Encoding\x0b: chunked\r\n', CHUNKS)),
  refused('a high byte in the name', 'bad-header', post('\xefTransfer-Encoding: chunked\r\n', CHUNKS)),
  refused('a name with a parenthesis', 'bad-header', post('(Transfer-Encoding): chunked\r\n', CHUNKS)),
  refused('TE in HTTP/1.0', 'bad-framing', `POST / HTTP/1.0\r\nHost: a\r\n${TE}\r\n${CHUNKS}${NEXT}`),
  taken('TE in capitals', post('TRANSFER-ENCODING: CHUNKED\r\n', CHUNKS), 'POST / abc', 'GET /next '),
  taken('TE within spaces', post('Transfer-Encoding:   chunked  \r\n', CHUNKS), 'POST / abc', 'GET /next '),
  framing('TE behind a tab', 'Transfer-Encoding:\tchunked\r\n'),
  framing('TE before a tab', 'Transfer-Encoding: chunked\t\r\n'),
  framing('CL behind a tab', 'Content-Length:\t3\r\n', 'abc'),
  taken(
    'Transfer_Encoding is another field',
    post('Transfer_Encoding: chunked\r\nContent-Length: 3\r\n', 'abc'),
    'POST / abc',
    'GET /next ',
  ),
  framing('TE that Connection names', `Connection: transfer-encoding\r\nContent-Length: 3\r\n${TE}`),
  // Content-Length that can be read in two ways.
  ...[
    '+3',
    '-3',
    '3 3',
    '3,3',
    '3, 3',
    '3;3',
    '0x3',
    '3.0',
    '3e0',
    '',
    '\xb3',
    '99999999999999999999',
    '18446744073709551619',
    '3\xa0',
  ].map((value) => framing(`CL of ${JSON.stringify(value)}`, `Content-Length: ${value}\r\n`, 'abc')),
  ...['3\x0b', '\x0b3', '3\x00'].map((value) =>
    refused(`CL of ${JSON.stringify(value)}`, 'bad-header', post(`Content-Length: ${value}\r\n`, 'abc')),
  ),
  framing('CL twice', 'Content-Length: 3\r\nContent-Length: 3\r\n', 'abc'),
  framing('CL twice, different', 'Content-Length: 0\r\nContent-Length: 3\r\n', 'abc'),
  refused('CL with a space before the colon', 'bad-header', post('Content-Length : 3\r\n', 'abc')),
  refused('CL folded', 'bad-header', post('Content-Length:\r\n 3\r\n', 'abc')),
  taken('CL with leading zeros', post('Content-Length: 0003\r\n', 'abc'), 'POST / abc', 'GET /next '),
  taken(
    'CL that Connection names is kept',
    post('Connection: content-length\r\nContent-Length: 3\r\n', 'abc'),
    'POST / abc',
    'GET /next ',
  ),
  taken(
    'CL.0: a body whose bytes are a request',
    post(`Content-Length: ${SMUGGLED.length}\r\n`, SMUGGLED),
    `POST / ${SMUGGLED}`,
    'GET /next ',
  ),
  taken(
    '0.CL: a GET with a body',
    `GET / HTTP/1.1\r\nHost: a\r\nContent-Length: ${SMUGGLED.length}\r\n\r\n${SMUGGLED}${NEXT}`,
    `GET / ${SMUGGLED}`,
    'GET /next ',
  ),
  taken(
    'a HEAD with a body',
    `HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc${NEXT}`,
    'HEAD / abc',
    'GET /next ',
  ),
  taken(
    'Content-Length and Expect',
    post('Content-Length: 3\r\nExpect: 100-continue\r\n', 'abc'),
    'POST / abc',
    'GET /next ',
  ),
  taken(
    'Expect.0: an expectation without a body',
    `GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n${NEXT}`,
    'GET / ',
    'GET /next ',
  ),
  refused('Expect obfuscated', 'bad-expect', post('Content-Length: 3\r\nExpect: y 100-continue\r\n', 'abc')),
  taken(
    'a body shorter than the request behind it',
    post('Content-Length: 5\r\n', 'abc', '').concat('GE'),
    'POST / abcGE',
  ),
  // Chunks.
  ...[
    ['a sign', '+3\r\nabc\r\n0\r\n\r\n'],
    ['a minus', '-1\r\n\r\n'],
    ['a prefix', '0x3\r\nabc\r\n0\r\n\r\n'],
    ['an underscore', '0_3\r\nabc\r\n0\r\n\r\n'],
    ['a space before the size', ' 3\r\nabc\r\n0\r\n\r\n'],
    ['a space behind the size', '3 \r\nabc\r\n0\r\n\r\n'],
    ['no size', '\r\nabc\r\n0\r\n\r\n'],
    ['only an extension', ';x\r\nabc\r\n'],
    ['a size of 17 digits', '00000000000000003\r\nabc\r\n0\r\n\r\n'],
    ['a size beyond 2^64', '10000000000000003\r\nabc\r\n0\r\n\r\n'],
    ['a size of 2^64 - 1', 'ffffffffffffffff\r\nabc'],
    ['a size of 2^63', '8000000000000000\r\nabc'],
    ['a size of 2^53', '20000000000000\r\nabc'],
    ['bare LF behind the size', '3\nabc\r\n0\r\n\r\n'],
    ['bare CR behind the size', '3\rabc\r\n0\r\n\r\n'],
    ['CR CR LF behind the size', '3\r\r\nabc\r\n0\r\n\r\n'],
    ['bare LF behind the data', '3\r\nabc\n0\r\n\r\n'],
    ['nothing behind the data', '3\r\nabc0\r\n\r\n'],
    ['two bytes for its CRLF', '3\r\nabcxx0\r\n\r\n'],
    ['more data than its size', '3\r\nabcd\r\n0\r\n\r\n'],
    ['bare LF in an extension', `3;x\n\r\nabc\r\n0\r\n\r\n`],
    ['bare CR in an extension', '3;x\ry\r\nabc\r\n0\r\n\r\n'],
    ['NUL in an extension', '3;\x00\r\nabc\r\n0\r\n\r\n'],
    ['bare LF in a quoted extension', '3;x="\n"\r\nabc\r\n0\r\n\r\n'],
    ['an extension without its semicolon', '3 x\r\nabc\r\n0\r\n\r\n'],
    ['bare LF behind the last chunk', '3\r\nabc\r\n0\n\r\n'],
    ['bare LF behind the trailers', '3\r\nabc\r\n0\r\n\n'],
    ['a bare CR behind the trailers', '3\r\nabc\r\n0\r\n\rx'],
    ['a trailer with a space before its colon', '3\r\nabc\r\n0\r\nX : 1\r\n\r\n'],
    ['a folded trailer', '3\r\nabc\r\n0\r\nX: 1\r\n y\r\n\r\n'],
    ['a trailer without a colon', '3\r\nabc\r\n0\r\nX\r\n\r\n'],
    ['a request for a trailer', `3\r\nabc\r\n0\r\n${SMUGGLED}`],
  ].map(([name, body]) => refused(`chunk: ${name}`, 'bad-chunk', post(TE, body as string))),
  ...[
    ['an extension', '3;x=y;z\r\nabc\r\n0;x\r\n\r\n'],
    ['a quoted extension that looks like an end', '3;x="\t;0"\r\nabc\r\n0\r\n\r\n'],
    ['white space before an extension', '3 \t;x\r\nabc\r\n0\r\n\r\n'],
    ['leading zeros', '0003\r\nabc\r\n000\r\n\r\n'],
    ['several', '1\r\na\r\n2\r\nbc\r\n0\r\n\r\n'],
    ['a trailer', '3\r\nabc\r\n0\r\nX: 1\r\n\r\n'],
    [
      'trailers that would frame, route or vouch',
      '3\r\nabc\r\n0\r\nContent-Length: 9\r\nTransfer-Encoding: x\r\nHost: b\r\nAuthorization: x\r\nX-Forwarded-For: 6\r\n\r\n',
    ],
  ].map(([name, body]) => taken(`chunk: ${name}`, post(TE, body as string), 'POST / abc', 'GET /next ')),
  taken(
    'chunk: data that looks like an end',
    post(TE, '5\r\n0\r\n\r\n\r\n0\r\n\r\n'),
    'POST / 0\r\n\r\n',
    'GET /next ',
  ),
  refused('chunk: too long an extension', 'bad-chunk', post(TE, `3;${'x'.repeat(5000)}\r\nabc\r\n0\r\n\r\n`)),
  refused('chunk: too long trailers', 'bad-chunk', post(TE, `0\r\nX: ${'x'.repeat(9000)}\r\n\r\n`)),
  // Lines.
  refused('bare LF everywhere', 'bad-line-end', 'GET / HTTP/1.1\nHost: a\n\n'),
  refused('bare LF behind the request line', 'bad-line-end', 'GET / HTTP/1.1\nHost: a\r\n\r\n'),
  refused('bare LF behind the head', 'bad-line-end', 'GET / HTTP/1.1\r\nHost: a\r\n\n'),
  refused('bare CR for a line end', 'bad-request-line', 'GET / HTTP/1.1\rHost: a\r\n\r\n'),
  refused('bare CR in a value', 'bad-line-end', `GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n`),
  refused('LF CR', 'bad-line-end', 'GET / HTTP/1.1\n\rHost: a\n\r\n\r'),
  refused('a NUL in a value', 'bad-header', 'GET / HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n'),
  refused('a field without a name', 'bad-header', 'GET / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n'),
  refused('a line without a colon', 'bad-header', 'GET / HTTP/1.1\r\nHost: a\r\nGET /smuggled HTTP/1.1\r\n\r\n'),
  refused('a folded value', 'bad-header', 'GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n\tb\r\n\r\n'),
  refused('white space before the first field', 'bad-header', 'GET / HTTP/1.1\r\n Host: a\r\nHost: b\r\n\r\n'),
  refused('an empty line of white space', 'bad-header', `GET / HTTP/1.1\r\nHost: a\r\n \r\n${SMUGGLED}`),
  refused('two empty lines before', 'bad-request-line', `\r\n\r\n${NEXT}`),
  taken('one empty line before', `\r\n${NEXT}`, 'GET /next '),
  taken('an empty line between', `${NEXT}\r\n${NEXT}`, 'GET /next ', 'GET /next '),
  // Request lines and targets.
  ...[
    'GET  / HTTP/1.1',
    'GET\t/ HTTP/1.1',
    'GET / HTTP/1.1 ',
    ' GET / HTTP/1.1',
    'GET /',
    'GET / HTTP/1.1x',
    'GET / http/1.1',
    'GET / HTTP/1',
    'GET / HTTP/11.1',
    'G@T\x00 / HTTP/1.1',
    'GET / x HTTP/1.1',
    'GET HTTP/1.1',
    'GET / HTTP/1.1 HTTP/1.1',
  ].map((line) => refused(`line ${JSON.stringify(line)}`, 'bad-request-line', `${line}\r\nHost: a\r\n\r\n`)),
  ...['HTTP/0.9', 'HTTP/1.2', 'HTTP/2.0', 'HTTP/9.9'].map((version) =>
    refused(version, 'unsupported-version', `GET / ${version}\r\nHost: a\r\n\r\n`),
  ),
  refused("HTTP/2's preface", 'unsupported-version', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  refused('CONNECT', 'connect-refused', 'CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n'),
  ...['/a#b', '/\\', '/\x01', '/\xe9', 'a', 'a/b', '*', 'ftp://a/', '/\x7f', '//a\\b'].map((target) =>
    refused(`target ${JSON.stringify(target)}`, 'bad-target', `GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`),
  ),
  ...['/../x', '/%2e%2e/x', '/a/..%2f..', '/..;/x', '/%00', '/%', '/%zz', '/a%5c..', '/.%2f'].map((target) =>
    refused(`path ${target}`, 'bad-path', `GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`),
  ),
  taken(
    'one form for matching and forwarding',
    'GET /a//b/./c/%2e%2e/%41%2f?x=//../y HTTP/1.1\r\nHost: a\r\n\r\n',
    'GET /a/b/A%2F?x=//../y ',
  ),
  taken('asterisk', 'OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n', 'OPTIONS * '),
  taken('absolute', 'GET http://A:80/x?y HTTP/1.1\r\nHost: a\r\n\r\n', 'GET /x?y '),
  refused('absolute, another host', 'bad-host', 'GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n'),
  refused('absolute, another port', 'bad-host', 'GET http://a:81/ HTTP/1.1\r\nHost: a\r\n\r\n'),
  refused('absolute, user information', 'bad-host', 'GET http://a@b/ HTTP/1.1\r\nHost: a@b\r\n\r\n'),
  // Hosts.
  refused('no Host', 'bad-host', 'GET / HTTP/1.1\r\n\r\n'),
  refused('two Hosts', 'bad-host', 'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n'),
  refused('two equal Hosts', 'bad-host', 'GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n'),
  ...['', 'a, b', 'a b', 'a/b', 'a@b', 'a:b', 'a:99999', '[::1', 'a#', 'a?b', 'a%00', '\xe9'].map((host) =>
    refused(`Host ${JSON.stringify(host)}`, 'bad-host', `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`),
  ),
  refused('Host with a space before the colon', 'bad-header', 'GET / HTTP/1.1\r\nHost : a\r\nHost: b\r\n\r\n'),
  taken(
    'a Host that Connection names',
    'GET / HTTP/1.1\r\nHost: a\r\nConnection: host, x-forwarded-for\r\n\r\n',
    'GET / ',
  ),
  // Connections.
  taken('pipelined', post('Content-Length: 3\r\n', 'abc', NEXT + NEXT), 'POST / abc', 'GET /next ', 'GET /next '),
  taken(
    'nothing is read behind Connection: close',
    `GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n${SMUGGLED}`,
    'GET / ',
  ),
  taken('HTTP/1.0 closes', `GET / HTTP/1.0\r\nHost: a\r\n\r\n${SMUGGLED}`, 'GET / '),
  refused('a request behind a malformed one', 'bad-header', `GET / HTTP/1.1\r\nHost: a\r\nbad line\r\n\r\n${SMUGGLED}`),
  refused('a malformed one behind a request', 'bad-line-end', `${NEXT}GET / HTTP/1.1\n\n`, ['GET /next ']),
  taken(
    'an upgrade to HTTP/2 that nobody takes',
    `GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n${NEXT}`,
    'GET / ',
    'GET /next ',
  ),
  refused('too long a request line', 'uri-too-long', `GET /${'a'.repeat(9000)} HTTP/1.1\r\nHost: a\r\n\r\n`),
  refused('too large a head', 'headers-too-large', `GET / HTTP/1.1\r\nHost: a\r\nX: ${'a'.repeat(33_000)}\r\n\r\n`),
  refused('too many fields', 'headers-too-large', `GET / HTTP/1.1\r\nHost: a\r\n${'X: 1\r\n'.repeat(100)}\r\n`),
];
