/** Messages of HTTP/1.1 that go an unusual way, and what is said of the client, through the whole engine with real sockets. */
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import {
  answerEmpty,
  answering,
  eventually,
  OK,
  type Peer,
  ScriptedBackend,
  TestProxy,
  type TestProxySettings,
} from '../engine.fixture.ts';
import { Headers } from '../pipeline/headers.ts';

const running: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const part of running.splice(0)) await part.close();
});

async function backend(script?: (peer: Peer) => void): Promise<ScriptedBackend> {
  const started = await new ScriptedBackend(script).listen();
  running.push(started);
  return started;
}

async function proxy(to: ScriptedBackend | null, settings: TestProxySettings = {}): Promise<TestProxy> {
  const started = await new TestProxy(to === null ? [] : [to.port], settings).listen();
  running.unshift(started);
  return started;
}

const GET = 'GET / HTTP/1.1\r\nhost: a\r\n\r\n';
const EXPECTING = 'POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\nexpect: 100-continue\r\n\r\n';

describe('expectations', () => {
  test('a refusal without the body is the answer, without a 100, and the connection closes', async () => {
    const gateway = await proxy(null, { handler: (exchange) => answerEmpty(exchange, 403) });
    const client = await gateway.client();
    client.send(EXPECTING);
    expect(await client.close()).toMatch(/^HTTP\/1\.1 403 Forbidden\r\n.*connection: close\r\n\r\n$/s);
  });

  test('who sends its body unasked is answered once, and read on in order', async () => {
    const upstream = await backend(answering(OK));
    const gateway = await proxy(upstream, {
      handler: (exchange, go) => (exchange.method === 'POST' ? answerEmpty(exchange, 403) : go()),
    });
    const client = await gateway.client();
    client.send(`${EXPECTING}abc${GET}`);
    const text = await client.until('ok');
    expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 403', 'HTTP/1.1 200']);
  });

  test('a refusal by the backend comes in place of its 100; the body is not sent', async () => {
    const upstream = await backend(answering('HTTP/1.1 417 Expectation Failed\r\ncontent-length: 0\r\n\r\n'));
    const gateway = await proxy(upstream);
    const client = await gateway.client();
    client.send(EXPECTING);
    expect(await client.close()).toMatch(/^HTTP\/1\.1 417 .*connection: close/s);
    expect((await upstream.connection()).received).toMatch(/expect: 100-continue\r\n.*\r\n\r\n$/s);
  });

  test('of HTTP/1.0 there is none', async () => {
    const upstream = await backend();
    const gateway = await proxy(upstream);
    const client = await gateway.client();
    client.send(EXPECTING.replace('HTTP/1.1', 'HTTP/1.0'));
    client.send('abc');
    const peer = await upstream.connection();
    await peer.until('\r\n\r\nabc');
    expect(peer.received).not.toContain('expect');
    peer.send(OK);
    expect(await client.close()).toMatch(/^HTTP\/1\.1 200 /);
  });
});

describe('bodies both ways', () => {
  test('a response while the request still comes: both go on to their ends', async () => {
    const upstream = await backend();
    const gateway = await proxy(upstream);
    const client = await gateway.client();
    client.send('POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n');
    const peer = await upstream.connection();
    await peer.until('one');
    peer.send('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nONE\r\n');
    await client.until('ONE');
    client.send('3\r\ntwo\r\n');
    await peer.until('two');
    peer.send('3\r\nTWO\r\n');
    await client.until('TWO');
    client.send('0\r\nx-sum: 1\r\n\r\n');
    await peer.until('0\r\nx-sum: 1\r\n\r\n');
    peer.send('0\r\nx-sum: 2\r\n\r\n');
    await client.until('0\r\nx-sum: 2\r\n\r\n');
    await eventually(() => gateway.finished.length === 1);
    expect(gateway.finished[0]).toMatchObject({ status: 200, code: '', bytesIn: 6, bytesOut: 6 });
  });

  test('an upload that breaks off never looks complete to the backend', async () => {
    const upstream = await backend();
    const gateway = await proxy(upstream);
    const client = await gateway.client();
    client.send('POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n');
    const peer = await upstream.connection();
    await peer.until('abc');
    client.socket.end();
    await peer.end();
    expect(peer.received).not.toContain('0\r\n\r\n');
  });

  test('a backend that closes during the upload: 502, and the connection closes', async () => {
    const upstream = await backend((peer) => peer.socket.once('data', () => peer.destroy()));
    const gateway = await proxy(upstream);
    const client = await gateway.client();
    client.send('POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\nabc');
    expect(await client.close()).toMatch(/^HTTP\/1\.1 502 .*connection: close/s);
  });

  test.each([
    ['HTTP/1.1', /^HTTP\/1\.1 200 (?:(?!0\r\n\r\n).)*$/s],
    ['HTTP/1.0', /^(?:HTTP\/1\.1 200 .*)?$/s],
  ])('a response until the close that ends in a reset is broken for %s', async (version, expected) => {
    const upstream = await backend();
    const gateway = await proxy(upstream);
    const client = await gateway.client();
    client.send(GET.replace('HTTP/1.1', version));
    const peer = await upstream.connection();
    await peer.until('\r\n\r\n');
    peer.send('HTTP/1.1 200 OK\r\n\r\nabc');
    await client.until('abc');
    peer.socket.resetAndDestroy();
    expect(await client.close()).toMatch(expected);
    if (version === 'HTTP/1.0') expect(client.error?.code).toBe('ECONNRESET');
    expect(gateway.finished[0]).toMatchObject({ code: 'upstream-aborted' });
  });

  test('HTTP/1.0 gets chunks without their framing, and no trailers', async () => {
    const upstream = await backend(
      answering('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n'),
    );
    const gateway = await proxy(upstream);
    const client = await gateway.client();
    client.send('GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n');
    expect(await client.close()).toMatch(/^(?!.*chunked).*connection: close\r\n\r\nabc$/s);
  });

  test('a backend of HTTP/1.0 is kept where it says so, and only there', async () => {
    const answers = ['connection: keep-alive\r\n', ''];
    const upstream = await backend((peer) => {
      peer.socket.on('data', () => peer.send(`HTTP/1.0 200 OK\r\n${answers.shift() ?? ''}content-length: 2\r\n\r\nok`));
    });
    const gateway = await proxy(upstream);
    const client = await gateway.client();
    for (let i = 1; i <= 3; i++) {
      client.send(GET);
      await eventually(() => client.received.split('ok').length === i + 1);
    }
    expect(upstream.connections).toHaveLength(2);
    expect(client.received).not.toContain('HTTP/1.0');
  });
});

describe('targets', () => {
  test('the asterisk form and the absolute form', async () => {
    const upstream = await backend(answering(OK));
    const gateway = await proxy(upstream);
    const client = await gateway.client();
    client.send('OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n');
    await client.until('ok');
    client.send('GET http://A.example:80/x?y HTTP/1.1\r\nhost: a.example\r\n\r\n');
    await eventually(() => client.received.split('ok').length === 3);
    const { received } = await upstream.connection();
    expect(received).toMatch(/^OPTIONS \* HTTP\/1\.1\r\nhost: a\r\n/);
    expect(received).toMatch(/\r\n\r\nGET \/x\?y HTTP\/1\.1\r\nhost: A\.example:80\r\n/);
  });

  test('what routes match is what the backend gets, whatever is asked for', async () => {
    const upstream = await backend(answering(OK));
    const gateway = await proxy(upstream);
    const part = fc.constantFrom('/', '.', '..', 'a', '%2e', '%2F', '%5c', '%41', ';', '~', '%', '?', '//', '%25');
    await fc.assert(
      fc.asyncProperty(fc.array(part, { maxLength: 10 }), async (parts) => {
        const client = await gateway.client();
        client.send(`GET /${parts.join('')} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n`);
        const refused = (await client.close()).startsWith('HTTP/1.1 400 ');
        const exchange = gateway.exchanges.pop();
        expect(exchange === undefined).toBe(refused);
        if (exchange === undefined) return;
        const asked = [...(upstream.connections.at(-1)?.received ?? '').matchAll(/^GET (\S*) HTTP/gm)].at(-1)?.[1];
        expect(asked).toBe(exchange.query === undefined ? exchange.path : `${exchange.path}?${exchange.query}`);
      }),
      { numRuns: 100 },
    );
  });
});

describe('Forwarded', () => {
  const ask = async (settings: TestProxySettings, fields: string): Promise<[string, TestProxy]> => {
    const upstream = await backend(answering(OK));
    const gateway = await proxy(upstream, settings);
    const client = await gateway.client();
    client.send(`GET / HTTP/1.1\r\nhost: a:80\r\n${fields}\r\n`);
    await client.until('ok');
    return [(await upstream.connection()).received, gateway];
  };

  test('is dropped unless it is spoken here', async () => {
    for (const trustedHops of [0, 1]) {
      const [received, gateway] = await ask(
        { forward: { trustedHops }, listener: { trustedHops } },
        'Forwarded: for=6.6.6.6\r\n',
      );
      expect(received).not.toMatch(/^forwarded:/m);
      expect(gateway.exchanges[0]).toMatchObject({ clientAddress: '127.0.0.1' });
    }
  });

  test('is written anew for a client that is not trusted', async () => {
    const [received] = await ask(
      { forward: { forwarded: true }, listener: { forwarded: true } },
      'Forwarded: for=6.6.6.6\r\n',
    );
    expect(received.match(/^forwarded: .*$/gm)).toEqual(['forwarded: for=127.0.0.1;host="a:80";proto=http']);
  });

  test('of trusted hops is believed before X-Forwarded-*, and added to', async () => {
    const both = { forwarded: true, trustedHops: 2 };
    const [received, gateway] = await ask(
      { forward: both, listener: both },
      'Forwarded: for=6.6.6.6, for="[2001:db8::7]:80";proto=https\r\nForwarded: for=10.0.0.1\r\nX-Forwarded-For: 7.7.7.7, 8.8.8.8\r\n',
    );
    expect(received).toContain(
      '\r\nforwarded: for=6.6.6.6, for="[2001:db8::7]:80";proto=https, for=10.0.0.1, for=127.0.0.1;host="a:80";proto=https\r\n',
    );
    expect(gateway.exchanges[0]).toMatchObject({ clientAddress: '2001:db8::7', scheme: 'https' });
    const [, broken] = await ask(
      { forward: both, listener: both },
      'Forwarded: for="6.6.6.6\r\nX-Forwarded-For: 7.7.7.7, 8.8.8.8\r\n',
    );
    expect(broken.exchanges[0]).toMatchObject({ clientAddress: '127.0.0.1' });
  });
});

test('an answer that breaks off at once shows the client what there is of it', async () => {
  const gateway = await proxy(null, {
    handler: ({ downstream }) => {
      downstream.writeHead(200, new Headers(['x-begun', 'yes']), 10);
      downstream.write(Buffer.from('half'), null);
      downstream.abort();
    },
  });
  const client = await gateway.client();
  client.send(GET);
  expect(await client.close()).toMatch(/^HTTP\/1\.1 200 .*x-begun: yes.*\r\n\r\nhalf$/s);
});
