/** Whatever endpoints of HTTP/2 do: no request ends twice or never, no attempt is told twice, nothing is left behind. */
import http2 from 'node:http2';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { eventually } from '../../engine.fixture.ts';
import { retrying, Told } from '../retry/retry.fixture.ts';
import { Http2Backend, proxyTo, type Seen } from './http2.fixture.ts';

const { NGHTTP2_NO_ERROR, NGHTTP2_CANCEL, NGHTTP2_REFUSED_STREAM, NGHTTP2_INTERNAL_ERROR } = http2.constants;

const STEPS: Readonly<Record<string, (seen: Seen) => void>> = {
  ok: ({ stream }) => {
    stream.respond({ ':status': 200 });
    stream.end('ok');
  },
  bare: ({ stream }) => stream.respond({ ':status': 204 }, { endStream: true }),
  read: ({ stream }) => {
    stream.resume();
    stream.on('end', () => {
      if (!stream.destroyed) stream.respond({ ':status': 204 }, { endStream: true });
    });
  },
  trailers: ({ stream }) => {
    stream.respond({ ':status': 200 }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': '2' }));
    stream.end('ok');
  },
  unavailable: ({ stream }) => {
    stream.respond({ ':status': 503 });
    stream.end('busy');
  },
  reset: ({ stream }) => stream.close(NGHTTP2_INTERNAL_ERROR),
  refuse: ({ stream }) => stream.close(NGHTTP2_REFUSED_STREAM),
  hang: () => {},
  early: ({ stream }) => stream.additionalHeaders({ ':status': 103 }),
  cut: ({ stream }) => {
    stream.respond({ ':status': 200 });
    stream.write('part');
    setImmediate(() => stream.close(NGHTTP2_CANCEL));
  },
  away: (seen) => {
    seen.session.goaway(NGHTTP2_NO_ERROR, 2 ** 31 - 1);
    STEPS.ok?.(seen);
  },
  awayWithout: ({ session }) => session.goaway(NGHTTP2_NO_ERROR, 1),
  close: ({ session }) => session.close(),
  destroy: ({ session }) => session.destroy(),
  break: ({ session }) => session.socket?.destroy(),
};

test('property: whatever endpoints do, each request ends once, each attempt is told once, and nothing is left', async () => {
  const step = fc.constantFrom(...Object.keys(STEPS));
  const scenario = fc.record({
    endpoints: fc.array(fc.array(step, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 3 }),
    streams: fc.constantFrom(1, 2, 100),
    attempts: fc.nat(3),
    hedged: fc.boolean(),
    clients: fc.array(fc.record({ leaves: fc.boolean(), method: fc.constantFrom('GET', 'POST', 'PUT') }), {
      minLength: 1,
      maxLength: 6,
    }),
  });
  await fc.assert(
    fc.asyncProperty(scenario, async ({ endpoints, streams, attempts, hedged, clients }) => {
      const backends: Http2Backend[] = [];
      for (const list of endpoints) {
        const script = (seen: Seen, n: number): void => STEPS[list[Math.min(n, list.length - 1)] as string]?.(seen);
        backends.push(await new Http2Backend(script, { settings: { maxConcurrentStreams: streams } }).listen());
      }
      const retry =
        attempts === 0
          ? null
          : retrying({ attempts, perTryTimeoutMs: 500, ...(hedged && { hedge: { afterMs: 200, max: 2 } }) });
      const gateway = await proxyTo(
        backends.map(({ port }) => port),
        {
          forward: { retry, backendTimeoutMs: 2_000, requestTimeoutMs: 5_000, idleTimeoutMs: 1_000 },
          pool: { maxConnections: 2 },
        },
      );
      const told = new Told(gateway.upstream, new Map());
      told.lines.length = 0;
      for (const { leaves, method } of clients) {
        const client = await gateway.client();
        client.send(`${method} / HTTP/1.1\r\nhost: a\r\n${method === 'GET' ? '\r\n' : 'content-length: 2\r\n\r\nab'}`);
        await eventually(() => gateway.exchanges.length > 0);
        if (leaves) client.socket.resetAndDestroy();
      }
      const sure = clients.filter(({ leaves }) => !leaves).length;
      let quiet = 0;
      await eventually(() => {
        gateway.advance(50);
        const { exchanges, finished, upstream } = gateway;
        const { active, pending } = upstream.stats;
        const over = exchanges.length >= sure && finished.length === exchanges.length && active === 0 && pending === 0;
        quiet = over ? quiet + 1 : 0;
        return quiet > 5;
      }, 'quiet');
      expect(new Set(gateway.finished).size).toBe(gateway.exchanges.length);
      expect(gateway.finished.length).toBe(gateway.exchanges.length);
      const begun = gateway.exchanges.reduce((sum, exchange) => sum + exchange.attempts, 0);
      expect(told.lines).toHaveLength(begun);
      for (const line of told.lines)
        expect(line).toMatch(/: (answered \d+ )?((connect|connect-timeout|refused|timeout|reset|protocol) )?left$/);
      expect(gateway.errors).toEqual([]);
      // Idle sessions close, so that none holds a place that nobody gave back.
      await eventually(() => {
        gateway.advance(70_000);
        return gateway.upstream.stats.connections === 0;
      }, 'no session left');
      await gateway.close();
      for (const server of backends) await server.close();
    }),
    { numRuns: 40 },
  );
}, 180_000);
