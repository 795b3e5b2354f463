/** `make chaos`: backends fail in every way there is, under a constant load, without and with a policy. See README.md. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { freePorts } from '../bench/ports.ts';
import { Programs } from '../bench/programs.ts';
import { faults } from './faults.ts';
import { Backend } from './fleet.ts';
import { startGateway } from './gateway.ts';
import { OpenLoop } from './open-loop.ts';
import { GUARDED, objects, PARTS, type Part, PLAIN, pathOf, summary } from './policy.ts';
import { failureLines, faultTable, LEGEND, toJson } from './report.ts';
import { type Outcome, runFault } from './run.ts';

/** Enough that one of them carries less than the retry budget. */
const BACKENDS = 6;
/** Without an answer by then, a client gives up. */
const CLIENT_TIMEOUT_MS = 3_000;
const WARM_MS = 1_000;
/** Half of what a try may take: where everything stands still that long, tries end that nobody harmed. */
const STILL_MS = 200;
const RUNS = 3;

const usage = `usage: node e2e/chaos/main.ts [--short] [--json] [--rate N] [--with PART]… [FAULT …]

  --short       each fault lasts 2 s instead of 8: under 60 s in all
  --json        the figures as JSON on stdout instead of the table
  --rate N      requests a second, without and with the policy each; 10 to 1000 (default 200)
  --with PART   only this part of the policy: ${PARTS.join(', ')}; may be repeated

faults (default: all)
${faults.map(({ name, about }) => `  ${name.padEnd(12)}  ${about}`).join('\n')}

Exit code 1: something that has to hold does not; 2: wrong usage.`;

const { values, positionals } = readArguments();
if (values.help) {
  console.log(usage);
  process.exit(0);
}
const rate = Number(values.rate);
const strange = [
  ...positionals
    .filter((name) => !faults.some((fault) => fault.name === name))
    .map((name) => `no fault is called ${name}`),
  ...values.with.filter((name) => !isPart(name)).map((name) => `the policy has no part ${name}`),
  ...(Number.isInteger(rate) && rate >= 10 && rate <= 1000 ? [] : ['--rate: 10 to 1000']),
];
if (strange.length > 0) {
  console.error(`${strange.join('\n')}\n\n${usage}`);
  process.exit(2);
}
process.exitCode = await main();

function readArguments() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        short: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
        rate: { type: 'string', default: '200' },
        with: { type: 'string', multiple: true, default: [] },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${usage}`);
    process.exit(2);
  }
}

function isPart(name: string): name is Part {
  return (PARTS as readonly string[]).includes(name);
}

/** The first run that holds, or during which this machine did not stand still; at the latest the last of `RUNS`. */
async function judged(run: () => Promise<Outcome>, progress: (text: string) => void): Promise<Outcome> {
  for (let turn = 1; ; turn++) {
    const outcome = await run();
    if (outcome.broken.length === 0 || outcome.stoodStillMs < STILL_MS || turn === RUNS) return outcome;
    progress(
      `once more: this machine stood still for ${Math.round(outcome.stoodStillMs)} ms (${outcome.broken.join('; ')})`,
    );
  }
}

async function main(): Promise<number> {
  const startedAt = performance.now();
  const progress = (text: string) =>
    console.error(`chaos ${((performance.now() - startedAt) / 1000).toFixed(0).padStart(3)} s  ${text}`);
  // Short: a socket lies in it.
  const dir = mkdtempSync(join(tmpdir(), 'tg-chaos-'));
  const programs = new Programs();
  const backends: Backend[] = [];
  const loads: OpenLoop[] = [];
  const interruption = new AbortController();
  const clean = async () => {
    interruption.abort();
    await Promise.allSettled(loads.map((load) => load.stop()));
    await Promise.allSettled([programs.stopAll(), ...backends.map((backend) => backend.stop())]);
    rmSync(dir, { recursive: true, force: true });
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      progress('stopping');
      clean().finally(() => process.exit(130));
    });
  }
  try {
    // Addresses of their own on one port: none is ever the gateway's own end of a connection while its process is away.
    const [port = 0] = await freePorts(1);
    for (let i = 1; i <= BACKENDS; i++) backends.push(new Backend(`127.0.0.${10 + i}`, port, dir));
    await Promise.all(backends.map((backend) => backend.start()));
    const parts = values.with.length > 0 ? PARTS.filter((part) => values.with.includes(part)) : PARTS;
    const gateway = await startGateway(programs, dir, objects(backends, parts));
    const load = (name: string) => {
      const one = new OpenLoop({ url: gateway.url + pathOf(name), rate, timeoutMs: CLIENT_TIMEOUT_MS });
      loads.push(one);
      return one;
    };
    const scene = {
      ...{ gateway, backends, signal: interruption.signal },
      loads: { plain: load(PLAIN), guarded: load(GUARDED) },
    };
    await new Promise((resolve) => setTimeout(resolve, WARM_MS));
    const chosen = faults.filter(({ name }) => positionals.length === 0 || positionals.includes(name));
    const outcomes: Outcome[] = [];
    for (const [i, fault] of chosen.entries()) {
      progress(`${i + 1} of ${chosen.length}: ${fault.name}: ${fault.about}`);
      // One after the other, so that none is still punished for the fault before.
      const backend = backends[i % backends.length] as Backend;
      const outcome = await judged(() => runFault(scene, fault, backend, values.short ? 2_000 : 8_000), progress);
      for (const what of outcome.broken) progress(`BROKEN: ${what}`);
      outcomes.push(outcome);
    }
    const failed = outcomes.flatMap(({ broken }) => broken);
    if (values.json) console.log(toJson(outcomes));
    else {
      const title = `${BACKENDS} backends, 2 × ${rate} requests/s, node ${process.version}\nthe policy: ${summary(parts)}`;
      console.log([title, '', faultTable(outcomes), LEGEND, ...failureLines(outcomes)].join('\n'));
    }
    progress(
      failed.length === 0 ? 'all that has to hold does' : `broken:\n${failed.map((what) => `  ${what}`).join('\n')}`,
    );
    return failed.length === 0 ? 0 : 1;
  } catch (error) {
    if (!interruption.signal.aborted) progress(`failed: ${(error as Error).stack}`);
    return 1;
  } finally {
    await clean();
  }
}
