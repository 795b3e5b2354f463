import { expect } from 'vitest';
import { ScriptedBackend, TestProxy } from '../engine.fixture.ts';
import type { ResponseCase } from './corpus/responses.ts';
import { readResponses } from './llhttp.ts';

/** What a client makes of it, with llhttp for its parser. */
export async function outcomeOf(
  { method = 'GET' }: ResponseCase,
  pieces: readonly string[],
): Promise<ResponseCase['outcome']> {
  const backend = await new ScriptedBackend((peer) => {
    peer.socket.once('data', async () => {
      for (const piece of pieces) {
        peer.send(piece);
        await new Promise((resolve) => setImmediate(resolve));
      }
      peer.socket.end();
    });
  }).listen();
  const gateway = await new TestProxy([backend.port]).listen();
  try {
    const client = await gateway.client();
    client.send(`${method} / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`);
    const received = await client.close();
    const { messages } = readResponses([Buffer.from(received, 'latin1')], [method === 'HEAD']);
    const [final, ...more] = messages.filter(({ status }) => status >= 200);
    expect(more).toEqual([]);
    expect(received).not.toContain('evil');
    if (final === undefined || !final.complete) return 'broken';
    return final.status === 502 ? 'bad-gateway' : { status: final.status, body: final.body };
  } finally {
    await gateway.close();
    await backend.close();
  }
}
