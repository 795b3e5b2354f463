/** Two workers on both cores, beside the load: what a request costs, and so how many two cores' worth of CPU carry. */
import { figure, type Result } from '../report.ts';
import type { Scenario } from '../scenario.ts';
import type { Bench } from './bench.ts';
import { compare } from './compare.ts';
import { routesContest } from './routes.ts';

/** Requests a second that two cores carry, at least. */
const GOAL = 50_000;

export const scenario: Scenario = {
  name: 'two-workers',
  about: 'two workers, 500 routes and all that belongs to them: requests a second of two cores, by CPU a request',
  order: 14,
  quick: false,
  run: twoWorkers,
};

/** The load shares both cores, so that what is got through says nothing; CPU a request does. */
async function twoWorkers(bench: Bench): Promise<Result[]> {
  const contest = { ...routesContest(bench, 'two-workers'), workers: 2, goals: [] };
  const results = await compare(bench, 'two workers', contest);
  return results.map((result) => {
    const carried = 2e6 / (result.cpuMicrosPerRequest ?? Number.NaN);
    const goal = result.proxy === 'tidegate' ? `; goal: at least ${figure(GOAL)}` : '';
    bench.print(`  ${result.proxy}: ${figure(carried)} requests/s of two cores${goal}`);
    return { ...result, extra: { ...result.extra, requestsPerSecondOfTwoCores: carried } };
  });
}
