/** `make bench`: measures Tidegate and its peers on this machine. See README.md for what the figures mean. */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { envoy } from './peers/envoy.ts';
import { fastify } from './peers/fastify.ts';
import { haproxy } from './peers/haproxy.ts';
import { nginx, nginxLogging } from './peers/nginx.ts';
import type { Peer } from './peers/peer.ts';
import { prepare } from './prerequisites.ts';
import { Programs } from './programs.ts';
import { type Result, writeResults } from './report.ts';
import type { Bench } from './scenarios/bench.ts';
import { plainProxy } from './scenarios/plain-proxy.ts';

const peers: readonly Peer[] = [nginx, nginxLogging, haproxy, envoy, fastify];

const usage = `usage: node e2e/bench/main.ts [--quick] [--only NAME]… [--runs N]

  --quick       a short form for CI: every part runs once, in under 90 s; the figures mean little
  --only NAME   only this scenario (proxy) or peer (${peers.map((peer) => peer.name).join(', ')}); may be repeated
  --runs N      measured turns a peer, 1 to 99 (default 5; 1 with --quick)`;

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
  const scenarios = ['proxy'];
  const unknown = values.only.filter((name) => !scenarios.includes(name) && !peers.some((peer) => peer.name === name));
  const runs = Number(values.runs ?? (values.quick ? 1 : 5));
  if (unknown.length > 0 || !Number.isInteger(runs) || runs < 1 || runs > 99) {
    console.error(unknown.length > 0 ? `no scenario or peer is called ${unknown.join(', ')}\n` : '--runs: 1 to 99\n');
    console.error(usage);
    return 2;
  }
  const progress = (text: string) => console.error(`bench: ${text}`);
  const { binaries, missing } = await prepare(progress);
  const programs = new Programs();
  const dir = mkdtempSync(join(tmpdir(), 'tidegate-bench-'));
  // nginx's workers run as another user and read the backend's files
  chmodSync(dir, 0o755);
  const bench: Bench = {
    programs,
    dir,
    binaries,
    proxyCore: 0,
    loadCore: 1,
    runs,
    quick: values.quick,
    print: console.log,
    progress,
  };
  const interrupted = () => {
    progress('stopping');
    programs.stopAll().finally(() => {
      rmSync(dir, { recursive: true, force: true });
      process.exit(130);
    });
  };
  process.once('SIGINT', interrupted);
  process.once('SIGTERM', interrupted);
  const named = values.only.filter((name) => !scenarios.includes(name));
  const chosen = peers.filter((peer) => {
    if (named.length > 0 && !named.includes(peer.name)) return false;
    const lacking = peer.needs.find((need) => !binaries.has(need));
    if (lacking !== undefined) progress(`${peer.name} is left out: ${missing.get(lacking)}`);
    return lacking === undefined;
  });
  const results: Result[] = [];
  try {
    results.push(...(await plainProxy(bench, chosen)));
    const file = join(import.meta.dirname, 'out', 'results.json');
    writeResults(file, results);
    progress(`figures in ${file}`);
    return 0;
  } catch (error) {
    progress(`failed: ${(error as Error).message}`);
    return 1;
  } finally {
    await programs.stopAll();
    rmSync(dir, { recursive: true, force: true });
  }
}
