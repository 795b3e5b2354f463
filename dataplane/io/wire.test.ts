import { once } from 'node:events';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import tls from 'node:tls';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { TestAuthority } from '../listener/tls/certificates.fixture.ts';
import { begin, established, secureSocket } from '../listener/tls/server-socket.ts';
import { buffersInUse, type PooledBuffer, SHARED, takeBuffer } from './buffers.ts';
import { type ReadMode, Wire, type WireOwner } from './wire.ts';

class Owner implements WireOwner {
  bulk = false;
  readonly read: string[] = [];
  ends = 0;
  drains = 0;
  readonly closes: (string | undefined)[] = [];
  onBytes(bytes: Buffer, length: number, _pooled: PooledBuffer | null): void {
    this.read.push(bytes.toString('latin1', 0, length));
  }
  onEnd(): void {
    this.ends++;
  }
  onDrain(): void {
    this.drains++;
  }
  onClose(error: NodeJS.ErrnoException | null): void {
    this.closes.push(error?.code);
  }
}

const until = async (what: () => boolean): Promise<void> => {
  for (let i = 0; i < 500 && !what(); i++) await sleep(10);
  expect(what()).toBe(true);
};

let authority: TestAuthority;
let context: tls.SecureContext;

beforeAll(() => {
  authority = new TestAuthority();
  const { chain, key } = authority.issue(['DNS:wire.test']);
  context = tls.createSecureContext({ cert: chain, key });
});

afterAll(() => authority.close());

/** As the TLS listener does it; `use` gets the wire when the handshake is done. */
function overTls(socket: net.Socket, owner: WireOwner, use: (wire: Wire) => void): void {
  socket.once('data', (hello: Buffer) => {
    socket.pause();
    let to: net.OnReadOpts | null = null;
    const options = { context, protocols: [], asksCertificate: false, requiresCertificate: false };
    const onread: net.OnReadOpts = { buffer: SHARED, callback: (length, bytes) => to?.callback(length, bytes) ?? true };
    const secure = secureSocket(socket, options, onread);
    secure.once('secure', () => {
      established(secure, false);
      const wire = new Wire(owner, 'onread', (given) => {
        to = given;
        return { socket: secure, onread: true, secured: true };
      });
      wire.start();
      use(wire);
    });
    begin(secure, hello);
  });
  socket.resume();
}

describe.each<ReadMode | 'tls'>(['onread', 'data', 'tls'])('%s', (mode) => {
  let server: net.Server;
  let owner: Owner;
  let wire: Wire;
  let peer: net.Socket;
  /** Below the peer. */
  let transport: net.Socket;

  beforeEach(async () => {
    owner = new Owner();
    server = net.createServer({ pauseOnConnect: true, allowHalfOpen: true }, (socket) => {
      if (mode === 'tls') {
        overTls(socket, owner, (made) => {
          wire = made;
        });
        return;
      }
      wire = new Wire(owner, mode, socket);
      wire.start();
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as net.AddressInfo;
    transport = net.connect({ host: '127.0.0.1', port, allowHalfOpen: true });
    transport.on('error', () => {});
    await once(transport, 'connect');
    peer = transport;
    if (mode === 'tls') {
      peer = tls.connect({
        socket: transport,
        allowHalfOpen: true,
        rejectUnauthorized: false,
      } as tls.ConnectionOptions);
      peer.on('error', () => {});
      await once(peer, 'secureConnect');
    }
    await until(() => wire !== undefined && !wire.closed);
  });

  afterEach(async () => {
    peer.destroy();
    wire.destroy();
    await until(() => owner.closes.length === 1 && buffersInUse() === 0);
    server.close();
  });

  test('reads go to the owner until it pauses, and on when it resumes', async () => {
    peer.write('one');
    await until(() => owner.read.join('') === 'one');
    wire.pause();
    peer.write('two');
    await sleep(50);
    expect(owner.read).toEqual(['one']);
    wire.resume();
    await until(() => owner.read.join('') === 'onetwo');
  });

  test('large reads are in pooled buffers that are given back', async () => {
    owner.bulk = true;
    const body = Buffer.alloc(3_000_000, 'b');
    peer.write(body);
    await until(() => owner.read.join('').length === body.length);
    owner.bulk = false;
  });

  test('a buffer for a body that is expected is given back, whether it comes or not', async () => {
    owner.bulk = true;
    peer.write('small');
    await until(() => owner.read.join('') === 'small');
    expect(buffersInUse()).toBe(mode === 'data' ? 0 : 1);
    expect(wire.mayExpect).toBe(mode === 'onread');
    owner.bulk = false;
    peer.write('again');
    await until(() => owner.read.join('') === 'smallagain');
    expect(buffersInUse()).toBe(0);
    owner.bulk = true;
    peer.write('last');
    await until(() => owner.read.join('') === 'smallagainlast');
    transport.resetAndDestroy();
    await until(() => owner.closes.length === 1);
  });

  test('a peer that does not read blocks the writer, which hears when all has left, in order', async () => {
    peer.pause();
    const got: Buffer[] = [];
    let sent = '';
    let released = 0;
    let parts = 0;
    const write = (letter: string): void => {
      const pooled = takeBuffer();
      pooled.bytes.fill(letter);
      const head = `<${letter}>`;
      wire.write(head);
      wire.writeBytes(pooled.bytes, () => {
        released++;
        pooled.release();
      });
      sent += head + letter.repeat(pooled.bytes.length);
      parts++;
    };
    for (let i = 0; i < 60 && !wire.blocked; i++) write(String.fromCharCode(97 + (i % 26)));
    expect(wire.blocked).toBe(true);
    expect(wire.unsent).toBeGreaterThan(0);
    // TLS copies what it encrypts.
    if (mode !== 'tls') expect(released).toBeLessThan(parts);
    const { progress } = wire;
    wire.write('last');
    wire.flush();
    sent += 'last';
    expect(owner.drains).toBe(0);
    peer.on('data', (bytes: Buffer) => got.push(bytes)).resume();
    await until(() => owner.drains > 0 && wire.unsent === 0);
    await until(() => Buffer.concat(got).length === sent.length);
    expect(Buffer.concat(got).toString('latin1') === sent).toBe(true);
    expect(wire.progress).toBeGreaterThan(progress);
    expect([released, wire.blocked]).toEqual([parts, false]);
  });

  test('what waits is given back when the connection is broken off', async () => {
    peer.pause();
    let released = 0;
    let parts = 0;
    for (; parts < 60 && !wire.blocked; parts++) {
      const pooled = takeBuffer();
      wire.writeBytes(pooled.bytes, () => {
        released++;
        pooled.release();
      });
    }
    transport.resetAndDestroy();
    await until(() => owner.closes.length === 1 && released === parts);
    expect(owner.closes).toEqual([expect.stringMatching(/^(ECONNRESET|EPIPE)$/)]);
    wire.write('nobody hears');
    wire.flush();
    wire.writeBytes(Buffer.alloc(100_000), () => released++);
    expect(released).toBe(parts + 1);
  });

  test('a reset reaches the peer', async () => {
    const codes: (string | undefined)[] = [];
    peer.on('error', (error: NodeJS.ErrnoException) => codes.push(error.code));
    wire.write('half an ans');
    wire.flush();
    wire.reset();
    await until(() => owner.closes.length === 1 && codes.length > 0);
    expect(codes).toEqual(['ECONNRESET']);
  });

  test('writes while one is under way keep their order, heads and bodies', async () => {
    let sent = '';
    const got: Buffer[] = [];
    peer.on('data', (bytes: Buffer) => got.push(bytes));
    for (let i = 0; i < 300; i++) {
      const head = `<${i}>`;
      const body = Buffer.alloc((i * 7919) % 20_000, `${i} `);
      wire.write(head);
      wire.writeBytes(body, i % 2 === 0 ? () => {} : null);
      sent += head + body.toString('latin1');
      if (i % 10 === 0) await sleep(0);
      else if (i % 3 === 0) wire.flush();
    }
    wire.finishAndClose();
    await once(peer, 'end');
    expect(Buffer.concat(got).toString('latin1') === sent).toBe(true);
    await until(() => owner.closes.length === 1);
  });

  test('a write to a peer that has gone closes the wire once, with its error', async () => {
    wire.pause();
    transport.resetAndDestroy();
    await sleep(50);
    for (let i = 0; i < 100 && owner.closes.length === 0; i++) {
      wire.write('x'.repeat(5000));
      wire.flush();
      await sleep(1);
    }
    expect(owner.closes).toEqual([expect.stringMatching(/^(ECONNRESET|EPIPE)$/)]);
  });

  test('each direction ends by itself: what waits leaves before FIN, and reading goes on', async () => {
    peer.pause();
    const body = Buffer.alloc(8_000_000, 'c');
    wire.writeBytes(body, null);
    wire.write('end');
    wire.finish();
    peer.write('still here');
    await until(() => owner.read.join('') === 'still here');
    const got: Buffer[] = [];
    peer.on('data', (bytes: Buffer) => got.push(bytes)).resume();
    await once(peer, 'end');
    expect(Buffer.concat(got).length).toBe(body.length + 3);
    peer.end('bye');
    await until(() => owner.ends === 1 && owner.closes.length === 1);
    expect(owner.read.join('')).toBe('still herebye');
    expect(owner.closes).toEqual([undefined]);
  });

  test('closes once all has left', async () => {
    wire.writeBytes(Buffer.alloc(4_000_000, 'd'), null);
    wire.finishAndClose();
    let length = 0;
    peer.on('data', (bytes: Buffer) => {
      length += bytes.length;
    });
    await once(peer, 'end');
    expect(length).toBe(4_000_000);
    await until(() => owner.closes.length === 1);
  });
});
