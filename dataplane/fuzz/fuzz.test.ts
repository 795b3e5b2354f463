/** A bounded run of the fuzzer. `make fuzz` goes on for as long as one likes. */
import { expect, test } from 'vitest';
import { REQUESTS } from './corpus/requests.ts';
import { RESPONSES } from './corpus/responses.ts';
import { type Finding, fuzz } from './fuzzer.ts';

/** Another one each week, so that builds of a week can be compared; a failure shows it. */
const seed = Math.floor(Date.now() / 604_800_000);

// A busy machine takes a minute for what an idle one does in five seconds.
test.each([
  { subject: 'requests', executions: 2_000, seeds: REQUESTS },
  { subject: 'responses', executions: 6_000, seeds: RESPONSES },
] as const)(
  '$subject: no difference from llhttp that is not argued',
  { timeout: 300_000 },
  async ({ subject, executions, seeds }) => {
    const texts = seeds.map(({ bytes }) => bytes);
    const report = await fuzz({ subject, seed, executions, seeds: texts });
    const shown = report.findings.map(({ input, what }: Finding) => ({ what, input, reproduce: `--seed ${seed}` }));
    expect(shown).toEqual([]);
    // The inputs reach every kind of end.
    for (const count of Object.values(report.counts)) expect(count).toBeGreaterThan(50);
    expect(report.corpus).toBeGreaterThan(texts.length + 100);
  },
);
