/**
 * Our parser and llhttp (through node:http) on the same bytes, both behind real sockets. Where both accept they must have seen the
 * same: that is what request smuggling would break. Where one refuses, the reason must be one that is argued below.
 */
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { answerEmpty, eventually, TestProxy } from '../engine.fixture.ts';
import { Headers } from '../pipeline/headers.ts';
import { normalisePath } from './path.ts';

interface Seen {
  readonly method: string;
  readonly path: string;
  readonly fields: string[];
  readonly body: string;
}

/** What one server made of one connection's bytes: the complete requests in order, and whether it refused something. */
interface Reading {
  requests: Seen[];
  refused: string | null;
}

let ours: Reading = { requests: [], refused: null };
let theirs: Reading = { requests: [], refused: null };

const gateway = new TestProxy([], {
  handler: (exchange) => {
    let body = '';
    const seen = ours;
    exchange.downstream.readBody({
      onData: (chunk) => {
        body += Buffer.from(chunk).toString('latin1');
        return true;
      },
      onEnd: () => {
        const { method, path, query, headers } = exchange;
        seen.requests.push({
          method,
          path: query === undefined ? path : `${path}?${query}`,
          fields: headers.fields,
          body,
        });
        answerEmpty(exchange, 200);
      },
      onAbort: (reason) => {
        if (reason === 'bad-request') seen.refused = 'bad-chunk';
        exchange.downstream.abort();
      },
    });
  },
  listener: {
    refuse: ({ status, code }) => {
      ours.refused = code;
      return {
        status,
        code,
        headers: new Headers(),
        body: null,
      };
    },
  },
});

const llhttp = http.createServer({ keepAliveTimeout: 0 }, (request, response) => {
  let body = '';
  const seen = theirs;
  request.setEncoding('latin1');
  request.on('data', (text) => {
    body += text;
  });
  request.on('error', () => {});
  request.on('end', () => {
    if (!request.complete) return;
    const fields = request.rawHeaders.map((text, i) => (i % 2 === 0 ? text.toLowerCase() : text));
    seen.requests.push({ method: request.method ?? '', path: request.url ?? '', fields, body });
    response.end();
  });
});
llhttp.on('checkContinue', (request, response) => llhttp.emit('request', request, response));
llhttp.on('clientError', (error: NodeJS.ErrnoException, socket) => {
  // An end of input is not a refusal.
  if (error.code !== 'HPE_INVALID_EOF_STATE' && error.code !== 'ECONNRESET') theirs.refused = error.code ?? 'error';
  socket.destroy();
});
llhttp.on('dropRequest', () => {});

beforeAll(async () => {
  await gateway.listen();
  llhttp.listen(0, '127.0.0.1');
  await once(llhttp, 'listening');
});

afterAll(async () => {
  await gateway.close();
  llhttp.closeAllConnections();
  llhttp.close();
});

async function send(port: number, bytes: string): Promise<void> {
  const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  socket.on('error', () => {});
  socket.resume();
  let over = false;
  socket.on('close', () => {
    over = true;
  });
  socket.on('end', () => socket.end());
  socket.end(bytes, 'latin1');
  await eventually(() => over, 'end of the exchange');
}

async function read(bytes: string): Promise<{ ours: Reading; theirs: Reading }> {
  ours = { requests: [], refused: null };
  theirs = { requests: [], refused: null };
  await Promise.all([send(gateway.port, bytes), send((llhttp.address() as net.AddressInfo).port, bytes)]);
  return { ours, theirs };
}

/** What llhttp accepts and we refuse: each is allowed, as it only makes us stricter. Code of ours, and why. */
const STRICTER: Record<string, string> = {
  'bad-line-end':
    'llhttp takes a bare LF for the line end behind some lines; RFC 9112 section 2.2 lets a recipient refuse it',
  'bad-host': 'node only wants one Host field to be there in HTTP/1.1; we want exactly one, everywhere, and valid',
  'bad-target': 'llhttp takes a fragment, a backslash, or a relative target for part of a URL',
  'bad-path': 'what the path means is not llhttp’s business',
  'bad-request-line': 'llhttp skips any number of empty lines before the request line, we one',
  'unsupported-version': 'llhttp also reads HTTP/0.9 and 2.0 heads',
  'bad-expect': 'node leaves other expectations to the application',
  'bad-framing':
    'llhttp takes Transfer-Encoding in HTTP/1.0 (RFC 9112 section 6.1 calls its framing faulty) and other codings before chunked (section 7: to be refused where not understood)',
  'bad-chunk': 'llhttp allows spaces behind a chunk size and any number of leading zeros in it',
};

/** What llhttp refuses and we accept: its code, whether it applies, and why it is safe. */
const WIDER: { code: string; why: string; holds: (bytes: string) => boolean }[] = [
  {
    code: 'HPE_INVALID_METHOD',
    why: 'llhttp knows a fixed list of methods; RFC 9110 section 9.1 leaves it open',
    holds: (bytes) => /^(\r\n)?[A-Za-z]+ /.test(bytes),
  },
  {
    code: 'HPE_INVALID_CHUNK_SIZE',
    why: 'RFC 9112 section 7.1.1 has BWS before a chunk extension',
    holds: (bytes) => /[0-9a-f][ \t]+;/i.test(bytes),
  },
];

const pick = fc.constantFrom;
/** Mostly one of `good`, so that most messages have one flaw or none. */
function mostly(good: readonly string[], bad: readonly string[]): fc.Arbitrary<string> {
  return fc.oneof({ weight: 40, arbitrary: pick(...good) }, { weight: 1, arbitrary: pick(...bad) });
}
const eol = mostly(['\r\n'], ['\n', '\r', '\r\r\n', '\n\r']);
const gap = mostly([' '], ['  ', '\t', '']);
const line = fc
  .tuple(
    mostly(['GET', 'POST', 'PUT', 'DELETE', 'OPTIONS'], ['FETCH', 'get', 'G(T', '']),
    gap,
    mostly(
      ['/', '/a?b=c', '/a/b', 'http://h/x?y', '/%41', '//'],
      ['*', '/a#b', '/a b', '', 'a', '/\x01', '/\xe9', '/\\', '/../a', '/%00'],
    ),
    gap,
    mostly(['HTTP/1.1', 'HTTP/1.1', 'HTTP/1.1', 'HTTP/1.0'], ['HTTP/1.2', 'HTTP/2.0', 'http/1.1', 'HTTP/1.', '']),
  )
  .map((parts) => parts.join(''));
const plainField = mostly(
  [
    'x: 1',
    'X-Y:  z\t',
    'empty:',
    'x:\t',
    'obs: \xe9\xff',
    'a: b:c',
    'a: "b"',
    'connection: keep-alive',
    'Connection: x',
    'upgrade: x',
  ],
  [
    ' folded',
    '\tfolded',
    'no colon',
    ': nameless',
    'na me: 1',
    'n\x00: 1',
    'v: \x00',
    'v: \x7f',
    'v: a\rb',
    '\xe9: 1',
    'connection: close',
    'expect: 100-continue',
    'expect: x',
    'host: b',
    'x : 1',
  ],
);
const length = mostly(
  ['content-length: 3', 'Content-Length:3', 'content-length: 03'],
  [
    'content-length: 5',
    'content-length: +3',
    'content-length: 3 3',
    'content-length: 3, 3',
    'content-length:',
    'content-length : 3',
    'content-length: 99999999999999999999',
    'content-length: 3\r\ncontent-length: 3',
    'content-length: 3\r\ncontent-length: 4',
    'content-length: 3\r\ntransfer-encoding: chunked',
    'transfer-encoding: chunked\r\ncontent-length: 3',
  ],
);
const coding = mostly(
  ['Transfer-Encoding: chunked', 'transfer-encoding: Chunked'],
  [
    'transfer-encoding: gzip, chunked',
    'transfer-encoding: chunked, gzip',
    'transfer-encoding: chunked, chunked',
    'transfer-encoding: identity',
    'transfer-encoding : chunked',
    'transfer-encoding: \x0bchunked',
    'transfer-encoding: xchunked',
    'transfer-encoding:',
    'transfer-encoding: chunked\r\ntransfer-encoding: chunked',
  ],
);
const chunks = mostly(
  [
    '3\r\nabc\r\n0\r\n\r\n',
    '3;x=y\r\nabc\r\n0\r\n\r\n',
    '0\r\n\r\n',
    '0\r\nx: 1\r\n\r\n',
    'A\r\n0123456789\r\n1\r\nx\r\n0\r\n\r\n',
    '0003\r\nabc\r\n0\r\n\r\n',
  ],
  [
    '3 ;x\r\nabc\r\n0\r\n\r\n',
    '3 \r\nabc\r\n0\r\n\r\n',
    '0\r\nx : 1\r\n\r\n',
    '0\r\nx: 1\n\r\n',
    '3\nabc\n0\n\n',
    '3\r\nabc\n0\r\n\r\n',
    '3\r\nabcd\r\n0\r\n\r\n',
    '3\r\nabc0\r\n\r\n',
    '3;\nabc\r\n0\r\n\r\n',
    '-1\r\n\r\n',
    '0x3\r\nabc\r\n0\r\n\r\n',
    'fffffffffffffffff\r\nabc',
    '00000000000000003\r\nabc\r\n0\r\n\r\n',
    '3\r\nabc\r\n',
    '0\n\r\n',
  ],
);
/** Framing fields with the body they announce. */
const framed = fc.oneof(
  fc.constant<[string, string]>(['', '']),
  fc.tuple(length, pick('abc')),
  fc.tuple(coding, chunks),
);
const message = fc
  .tuple(
    mostly(['', '', '\r\n'], ['\r\n\r\n', '\n', ' ']),
    line,
    eol,
    mostly(['host: a'], ['', 'host: a, b', 'HOST:a', 'host:']),
    fc.array(fc.tuple(plainField, eol), { maxLength: 2 }),
    framed,
    eol,
    eol,
  )
  .map(([before, start, end, host, fields, [framing, body], end2, last]) =>
    [
      before,
      start,
      end,
      host === '' ? '' : host + end,
      ...fields.flat(),
      framing === '' ? '' : framing + end2,
      last,
      body,
    ].join(''),
  );
const conversation = fc.array(message, { minLength: 1, maxLength: 3 }).map((parts) => parts.join(''));

test('both see the same requests, and differ only where it is argued', { timeout: 60_000 }, async () => {
  const count = { agreed: 0, bothRefused: 0, stricter: 0, wider: 0 };
  await fc.assert(
    fc.asyncProperty(conversation, async (bytes) => {
      const seen = await read(bytes);
      const common = Math.min(seen.ours.requests.length, seen.theirs.requests.length);
      for (let i = 0; i < common; i++) {
        const a = seen.ours.requests[i] as Seen;
        const b = seen.theirs.requests[i] as Seen;
        // A field that Connection names is gone in ours.
        const dropped = bytes.includes('Connection: x');
        expect({ ...a, fields: dropped ? [] : a.fields }).toEqual({
          ...b,
          path: readPath(b.path),
          fields: dropped ? [] : b.fields,
        });
      }
      if (seen.ours.requests.length < seen.theirs.requests.length) {
        count.stricter++;
        expect(seen.ours.refused, `refused without a reason: ${JSON.stringify(bytes)}`).not.toBeNull();
        expect(Object.keys(STRICTER)).toContain(seen.ours.refused);
        if (seen.ours.refused === 'bad-framing') expect(bytes).toMatch(/HTTP\/1\.0.*transfer-encoding|, chunked/is);
      } else if (seen.ours.requests.length > seen.theirs.requests.length) {
        count.wider++;
        const reason = WIDER.find(({ code, holds }) => code === seen.theirs.refused && holds(bytes));
        expect(
          reason,
          `accepted what llhttp refused with ${seen.theirs.refused}: ${JSON.stringify(bytes)}`,
        ).toBeDefined();
      } else if (seen.ours.refused !== null && seen.theirs.refused !== null) count.bothRefused++;
      else count.agreed++;
    }),
    { numRuns: 2000 },
  );
  // The generator reaches every kind of outcome.
  for (const number of Object.values(count)) expect(number).toBeGreaterThan(5);
});

function readPath(target: string): string {
  const mark = target.indexOf('?');
  const path = (mark < 0 ? target : target.slice(0, mark)).replace(/^http:\/\/[^/]*/, '');
  return (path === '*' ? path : normalisePath(path, true)) + (mark < 0 ? '' : target.slice(mark));
}
