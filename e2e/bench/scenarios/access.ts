/** What authentication, limits, CORS and edits cost a request, beside plain proxying and beside Envoy. */

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { startRedis } from '../../components/redis.ts';
import { contests } from '../access/contests.ts';
import { TokenMaker } from '../access/tokens.ts';
import type { Result } from '../report.ts';
import type { Scenario } from '../scenario.ts';
import type { Bench } from './bench.ts';
import { compare } from './compare.ts';

export const scenario: Scenario = {
  name: 'access',
  about: 'authentication, limits, CORS and edits, beside nginx and Envoy',
  order: 20,
  quick: true,
  run: access,
};

export async function access(bench: Bench): Promise<Result[]> {
  const dir = join(bench.dir, 'access');
  mkdirSync(dir, { recursive: true });
  const redis = await startRedis();
  if (redis !== undefined) bench.atEnd(() => redis.stop());
  const results: Result[] = [];
  for (const contest of contests({ dir, tokens: new TokenMaker(), redisUrl: redis?.url })) {
    if (bench.quick && contest.long) continue;
    results.push(...(await compare(bench, 'access', contest)));
  }
  await redis?.stop();
  return results;
}
