/** Every known payload, through the listener's connection alone and through the whole engine with real sockets. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TestProxy } from '../engine.fixture.ts';
import { REQUESTS } from './corpus/requests.ts';
import { RESPONSES } from './corpus/responses.ts';
import { differenceOf } from './differences.ts';
import { readRequests } from './llhttp.ts';
import { readOurs } from './our-requests.ts';
import { outcomeOf } from './outcome.fixture.ts';
import type { Message } from './reading.ts';
import { converse, RecordingBackend } from './recording-backend.ts';

const shown = (messages: readonly Message[]): string[] =>
  messages.filter(({ complete }) => complete).map(({ method, target, body }) => `${method} ${target} ${body}`);

test('no name twice', () => {
  for (const names of [REQUESTS, RESPONSES].map((cases) => cases.map(({ name }) => name)))
    expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([]);
});

describe('requests', () => {
  const backend = new RecordingBackend();
  let gateway: TestProxy;
  beforeAll(async () => {
    await backend.listen();
    gateway = await new TestProxy([backend.port]).listen();
  });
  afterAll(async () => {
    await gateway.close();
    await backend.close();
  });

  test.each(REQUESTS)('$name', async ({ bytes, seen, refused }) => {
    const input = Buffer.from(bytes, 'latin1');
    const ours = readOurs([input]);
    expect({ seen: shown(ours.messages), refused: ours.refused }).toEqual({ seen, refused });
    expect(differenceOf(bytes, ours, readRequests([input]))).toBeNull();

    const answer = await converse(gateway.port, [input]);
    const asked = backend.take();
    // What was refused in its head never reaches the backend; a chunked body may have begun, but never ends.
    expect(shown(asked.requests)).toEqual(seen);
    expect(asked.refused).toBeNull();
    const answers = answer
      .split(/(?=HTTP\/1\.1 \d{3} )/)
      .filter((one) => one !== '' && !one.startsWith('HTTP/1.1 100 '));
    expect(answers.length).toBe(seen.length + (refused === null ? 0 : 1));
    if (refused !== null) expect(answers.at(-1)).toMatch(/^HTTP\/1\.1 [45]\d\d .*\r\nconnection: close\r\n/s);
    for (const { fields } of asked.requests) {
      const names = fields.filter((_, i) => i % 2 === 0);
      for (const name of ['host', 'content-length', 'transfer-encoding', 'x-forwarded-for'])
        expect(names.filter((other) => other === name).length).toBeLessThanOrEqual(1);
      expect(names.includes('content-length') && names.includes('transfer-encoding')).toBe(false);
    }
  });
});

describe('responses', () => {
  test.each(RESPONSES)('$name', async (response) => {
    expect(await outcomeOf(response, [response.bytes])).toEqual(response.outcome);
  });
});
