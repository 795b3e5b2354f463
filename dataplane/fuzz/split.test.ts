/** Where the bytes are cut changes nothing: every known payload cut at each of its bytes, and random ones in many pieces. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { REQUESTS } from './corpus/requests.ts';
import { RESPONSES } from './corpus/responses.ts';
import { mutate, seeded } from './mutate.ts';
import { readOurs } from './our-requests.ts';
import { outcomeOf } from './outcome.fixture.ts';
import { cut, type Reading } from './reading.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const shown = ({ messages, refused }: Reading): string => JSON.stringify({ messages, refused });
const short = <T extends { readonly bytes: string }>(cases: readonly T[]): T[] =>
  cases.filter(({ bytes }) => bytes.length < 400);

test('requests: known payloads, in two pieces at every byte, and byte by byte', { timeout: 300_000 }, async () => {
  for (const { bytes, name } of short(REQUESTS)) {
    const input = Buffer.from(bytes, 'latin1');
    const whole = shown(readOurs([input]));
    for (let at = 1; at < input.length; at++)
      expect(shown(readOurs(cut(input, [at]))), `${name} cut at ${at}`).toBe(whole);
    const single = cut(
      input,
      Array.from(input, (_, at) => at),
    );
    expect(shown(readOurs(single)), name).toBe(whole);
    expect(shown(readOurs(single, { late: true })), `${name}, answered late`).toBe(whole);
    await turn();
  }
});

test('requests: random ones, in many pieces', async () => {
  const seeds = REQUESTS.map(({ bytes }) => bytes);
  const input = fc
    .tuple(fc.nat(0xffffffff), fc.constantFrom(...seeds))
    .map(([seed, from]) => mutate(from, seeds, seeded(seed)));
  await fc.assert(
    fc.asyncProperty(input, fc.array(fc.nat(600), { maxLength: 12 }), async (text, cuts) => {
      // Ended by a line end: a line that is not over is looked at when it is.
      const bytes = Buffer.from(`${text}\n`, 'latin1');
      expect(shown(readOurs(cut(bytes, cuts)))).toBe(shown(readOurs([bytes])));
      await turn();
    }),
    { numRuns: 500 },
  );
});

test('responses: known payloads, in random pieces and byte by byte, through the whole engine', {
  timeout: 300_000,
}, async () => {
  for (const response of short(RESPONSES)) {
    const { bytes } = response;
    const pieces = Array.from({ length: 4 }, (_, i) => Math.floor((bytes.length * (i + 1)) / 5));
    for (const cuts of [pieces, Array.from(bytes, (_, at) => at)]) {
      const parts = cut(Buffer.from(bytes, 'latin1'), cuts).map((piece) => piece.toString('latin1'));
      expect(await outcomeOf(response, parts), response.name).toEqual(response.outcome);
    }
  }
});
