/** `make e2e`: first what brings its own parts, then every scenario in one cluster (or those named). */
import { spawn } from 'node:child_process';
import { globSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { buildPrograms } from './cluster/build.ts';
import { failuresOf } from './failures.ts';

const help = `usage: node e2e/main.ts [NAME …] [-- vitest options]

Runs the end-to-end tests, on real parts, one after the other:
  access-outages chaos chart components crds controller cluster limits overload stores bench
                                        bring their own API server, cluster or nothing at all
  the scenarios                         folders with a scenario.test.ts, all in one cluster:
      on Linux as root   a cluster of local processes, built from its Go modules (cached under ~/.cache/tidegate)
      otherwise          TIDEGATE_E2E_KUBECONFIG, or k3s where Docker runs (see e2e/cluster/README.md)

  node e2e/main.ts                 all
  node e2e/main.ts autoscaling     those whose path contains the word
`;

const here = import.meta.dirname;
const VITEST = path.join(here, '../node_modules/.bin/vitest');

const args = process.argv.slice(2);
if (args.includes('--help') || args.includes('-h')) {
  process.stdout.write(help);
  process.exit(0);
}
const separator = args.indexOf('--');
const names = separator === -1 ? args : args.slice(0, separator);
const options = separator === -1 ? [] : args.slice(separator + 1);

// Ctrl-C reaches the child too, which cleans up; this process waits for it.
let interrupted = false;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    interrupted = true;
  });
}

const files = globSync('*/**/*.test.ts', { cwd: here, exclude: ['**/node_modules/**', 'dist/**'] })
  .filter((file) => names.length === 0 || names.some((name) => file.includes(name)))
  .sort();
const scenarios = files.filter((file) => path.basename(file) === 'scenario.test.ts');
const apart = files.filter((file) => !scenarios.includes(file));
if (files.length === 0) {
  process.stderr.write(`no test in e2e/ has ${names.join(' or ')} in its path\n`);
  process.exit(2);
}

await buildPrograms((line) => process.stdout.write(`${line}\n`));
const reports = mkdtempSync(path.join(tmpdir(), 'tidegate-e2e-'));
const codes: number[] = [];
if (apart.length > 0) codes.push(await run(vitest('vitest.config.ts', apart)));
if (scenarios.length > 0 && !interrupted) {
  const command = vitest('scenarios.config.ts', scenarios);
  const given = process.env.TIDEGATE_E2E_KUBECONFIG ?? process.env.TIDEGATE_E2E_RUN ?? '';
  const own = given === '' && process.platform === 'linux' && process.getuid?.() === 0;
  codes.push(
    await run(own ? [process.execPath, path.join(here, 'cluster/main.ts'), 'run', '--', ...command] : command),
  );
}
// Last, so that whoever sees only the end of a long output sees what failed.
for (const config of ['vitest.config.ts', 'scenarios.config.ts']) {
  for (const failure of failuresOf(reportOf(config), here)) process.stdout.write(`${failure}\n`);
}
rmSync(reports, { recursive: true, force: true });
process.exitCode = interrupted ? 130 : Math.max(...codes);

function vitest(config: string, tests: readonly string[]): string[] {
  const report = ['--reporter=default', '--reporter=json', `--outputFile.json=${reportOf(config)}`];
  return [VITEST, 'run', '--config', path.join(here, config), ...report, ...tests, ...options];
}

function reportOf(config: string): string {
  return path.join(reports, `${config}.json`);
}

/** Exit code; 1 when a signal ended it. */
function run([command = '', ...rest]: readonly string[]): Promise<number> {
  return new Promise((resolve) => {
    spawn(command, rest, { stdio: 'inherit' }).once('close', (code) => resolve(code ?? 1));
  });
}
