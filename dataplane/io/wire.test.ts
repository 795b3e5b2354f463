import { once } from 'node:events';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { buffersInUse, type PooledBuffer, takeBuffer } from './buffers.ts';
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

describe.each<ReadMode>(['onread', 'data'])('%s', (mode) => {
  let server: net.Server;
  let owner: Owner;
  let wire: Wire;
  let peer: net.Socket;

  beforeEach(async () => {
    owner = new Owner();
    server = net.createServer({ pauseOnConnect: true, allowHalfOpen: true }, (socket) => {
      wire = new Wire(owner, mode, socket);
      wire.start();
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as net.AddressInfo;
    peer = net.connect({ host: '127.0.0.1', port, allowHalfOpen: true });
    peer.on('error', () => {});
    await once(peer, 'connect');
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
    wire.expectBulk();
    expect(buffersInUse()).toBe(mode === 'onread' ? 1 : 0);
    peer.write('small');
    await until(() => owner.read.join('') === 'small');
    expect(buffersInUse()).toBe(0);
    wire.expectBulk();
    wire.expectBulk();
    peer.resetAndDestroy();
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
    expect(released).toBeLessThan(parts);
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
    peer.resetAndDestroy();
    await until(() => owner.closes.length === 1 && released === parts);
    expect(owner.closes).toEqual([expect.stringMatching(/^(ECONNRESET|EPIPE)$/)]);
    wire.write('nobody hears');
    wire.flush();
    wire.writeBytes(Buffer.alloc(100_000), () => released++);
    expect(released).toBe(parts + 1);
  });

  test('a write to a peer that has gone closes the wire once, with its error', async () => {
    wire.pause();
    peer.resetAndDestroy();
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
