/** `make e2e`: gets a cluster, runs every scenario in it (or those named), ends the cluster. */
import { spawn } from 'node:child_process';
import path from 'node:path';

const help = `usage: node e2e/main.ts [SCENARIO …] [vitest options]

Runs the scenarios of e2e/ on a real Kubernetes, one after the other:
  on Linux as root   a cluster of local processes, built from its Go modules (cached under ~/.cache/tidegate)
  otherwise          TIDEGATE_E2E_KUBECONFIG, or k3s where Docker runs (see e2e/cluster/README.md)

  node e2e/main.ts                 all
  node e2e/main.ts autoscaling     those whose path contains the word
`;

const args = process.argv.slice(2);
if (args.includes('--help') || args.includes('-h')) {
  process.stdout.write(help);
  process.exit(0);
}
const here = import.meta.dirname;
const bin = path.join(here, '../node_modules/.bin');
const vitest = [path.join(bin, 'vitest'), 'run', '--config', path.join(here, 'vitest.config.ts'), ...args];
const given = process.env.TIDEGATE_E2E_KUBECONFIG ?? process.env.TIDEGATE_E2E_RUN ?? '';
const own = given === '' && process.platform === 'linux' && process.getuid?.() === 0;
const [command = '', ...rest] = own
  ? [process.execPath, path.join(here, 'cluster/main.ts'), 'run', '--', ...vitest]
  : vitest;
const child = spawn(command, rest, { stdio: 'inherit' });
// The child gets the terminal's Ctrl-C itself and cleans up; this process waits for it.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    if (signal === 'SIGTERM') child.kill(signal);
  });
}
child.once('close', (code) => {
  process.exitCode = code ?? 1;
});
