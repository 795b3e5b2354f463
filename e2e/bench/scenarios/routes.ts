/** The small body behind 500 routes on 50 hosts, with header match, edits, access log and metrics, beside nginx that does the same. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { bodies } from '../peers/backend.ts';
import { hostClient } from '../routes/client.ts';
import { FIRST, FIRST_PATH, routesPeers, writeRoutesScript } from '../routes/configuration.ts';
import type { Scenario } from '../scenario.ts';
import type { Bench } from './bench.ts';
import { type Contest, compare } from './compare.ts';

export const scenario: Scenario = {
  name: 'routes',
  about: '500 routes on 50 hosts, header match, two edits, access log',
  order: 12,
  quick: true,
  run: (bench) => compare(bench, 'routes', routesContest(bench)),
};

export function routesContest(bench: Bench, id = 'routes'): Contest {
  const dir = join(bench.dir, id);
  mkdirSync(dir, { recursive: true });
  return {
    id,
    name: '500 on 50 hosts, header match, two edits, access log',
    peers: routesPeers,
    request: {
      ...{ path: FIRST_PATH, content: bodies.small.content },
      ...{ headers: FIRST, client: hostClient, script: writeRoutesScript(dir) },
    },
    checks: [],
    goals: [{ proxy: 'tidegate', against: 'nginx', atMost: 1.25 }],
  };
}
