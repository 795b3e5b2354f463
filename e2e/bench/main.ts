/** `make bench`: measures Tidegate and its peers on this machine. See README.md for what the figures mean. */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { cpus, release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { envoy } from './peers/envoy.ts';
import { fastify } from './peers/fastify.ts';
import { haproxy } from './peers/haproxy.ts';
import { nginx, nginxLogging } from './peers/nginx.ts';
import type { Peer } from './peers/peer.ts';
import { tidegate, tidegateQuiet } from './peers/tidegate.ts';
import { prepare } from './prerequisites.ts';
import { Programs } from './programs.ts';
import { type Result, writeResults } from './report.ts';
import { loadScenarios, type Scenario } from './scenario.ts';
import type { Bench } from './scenarios/bench.ts';

const peers: readonly Peer[] = [nginx, nginxLogging, tidegate, tidegateQuiet, haproxy, envoy, fastify];

const scenarios = await loadScenarios();

const usage = `usage: node e2e/bench/main.ts [--quick] [--only NAME]… [--runs N]

  --quick       a short form for CI: every part runs once, in about 2 minutes; the figures mean little
  --only NAME   only this scenario or peer; may be repeated
  --runs N      measured turns a peer, 1 to 99 (default 5; 1 with --quick)

scenarios
${scenarios.map(({ name, about }) => `  ${name.padEnd(20)} ${about}`).join('\n')}
peers of the scenario proxy
${peers.map(({ name, about }) => `  ${name.padEnd(20)} ${about}`).join('\n')}`;

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true, default: [] },
    runs: { type: 'string' },
    help: { type: 'boolean', short: 'h', default: false },
  },
});
if (values.help) {
  console.log(usage);
  process.exit(0);
}
process.exitCode = await main();

async function main(): Promise<number> {
  const isScenario = (name: string) => scenarios.some((scenario) => scenario.name === name);
  const unknown = values.only.filter((name) => !isScenario(name) && !peers.some((peer) => peer.name === name));
  const runs = Number(values.runs ?? (values.quick ? 1 : 5));
  if (unknown.length > 0 || !Number.isInteger(runs) || runs < 1 || runs > 99) {
    console.error(unknown.length > 0 ? `no scenario or peer is called ${unknown.join(', ')}\n` : '--runs: 1 to 99\n');
    console.error(usage);
    return 2;
  }
  const startedAt = performance.now();
  const progress = (text: string) => console.error(`bench ${seconds(startedAt).padStart(5)}  ${text}`);
  const programs = new Programs();
  const dir = mkdtempSync(join(tmpdir(), 'tidegate-bench-'));
  // nginx's workers run as another user and read the backend's files
  chmodSync(dir, 0o755);
  const interruption = new AbortController();
  const stops: (() => Promise<void>)[] = [];
  const clean = async () => {
    await Promise.allSettled([programs.stopAll(), ...stops.splice(0).map((stop) => stop())]);
    rmSync(dir, { recursive: true, force: true });
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      progress('stopping');
      interruption.abort();
      clean().finally(() => process.exit(130));
    });
  }
  try {
    const { binaries, missing } = await prepare(progress);
    const bench: Bench = {
      ...{ programs, dir, binaries, runs, progress, quick: values.quick, print: console.log },
      ...{ proxyCore: 0, loadCore: 1, signal: interruption.signal, atEnd: (stop) => stops.push(stop) },
    };
    console.log(`${cpus()[0]?.model.trim()}, ${cpus().length} CPUs, Linux ${release()}, node ${process.version}`);
    const chosenPeers = choosePeers(binaries, missing, progress);
    const results: Result[] = [];
    for (const scenario of chooseScenarios()) results.push(...(await scenario.run(bench, chosenPeers)));
    const file = join(import.meta.dirname, 'out', 'results.json');
    writeResults(file, results);
    progress(`done; figures in ${file}`);
    return 0;
  } catch (error) {
    progress(`failed: ${(error as Error).message}`);
    return 1;
  } finally {
    await clean();
  }
}

/** Those named; naming a peer alone means the scenario that compares peers. */
function chooseScenarios(): Scenario[] {
  const named = scenarios.filter(({ name }) => values.only.includes(name));
  if (
    values.only.some((name) => peers.some((peer) => peer.name === name)) &&
    !named.some(({ name }) => name === 'proxy')
  ) {
    named.unshift(...scenarios.filter(({ name }) => name === 'proxy'));
  }
  return named.length > 0 ? named : scenarios.filter(({ quick }) => quick || !values.quick);
}

function choosePeers(
  binaries: ReadonlyMap<string, string>,
  missing: ReadonlyMap<string, string>,
  progress: (text: string) => void,
): Peer[] {
  const named = peers.filter(({ name }) => values.only.includes(name));
  return (named.length > 0 ? named : peers).filter((peer) => {
    const lacking = peer.needs.find((need) => !binaries.has(need));
    if (lacking !== undefined) progress(`${peer.name} is left out: ${missing.get(lacking)}`);
    return lacking === undefined;
  });
}

function seconds(since: number): string {
  return `${((performance.now() - since) / 1000).toFixed(0)} s`;
}
