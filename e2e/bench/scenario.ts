/** The parts of the benchmark: every file of `scenarios/` that exports a `scenario` is one. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Peer } from './peers/peer.ts';
import type { Result } from './report.ts';
import type { Bench } from './scenarios/bench.ts';

export interface Scenario {
  /** For `--only`; what its file is called. */
  readonly name: string;
  /** One line of the usage. */
  readonly about: string;
  /** Scenarios run in this order, those with the same one by name. Default 100. */
  readonly order?: number;
  /** Part of `--quick`, which takes 150 s in all and must not wait for a cluster to be built. */
  readonly quick: boolean;
  /** `peers`: those that `--only` leaves, for the plain comparison; others bring their own. */
  run(bench: Bench, peers: readonly Peer[]): Promise<Result[]>;
}

const folder = join(import.meta.dirname, 'scenarios');

export async function loadScenarios(): Promise<Scenario[]> {
  const found: Scenario[] = [];
  for (const file of readdirSync(folder).sort()) {
    if (!file.endsWith('.ts') || file.endsWith('.test.ts')) continue;
    const { scenario } = (await import(join(folder, file))) as { scenario?: Scenario };
    if (scenario !== undefined) found.push(scenario);
  }
  return found.sort((a, b) => (a.order ?? 100) - (b.order ?? 100) || (a.name < b.name ? -1 : 1));
}
