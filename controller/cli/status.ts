/** `tidegate status`: who holds what. Asks a controller's admin API, on this machine or through a cluster's API server. */
import { Command } from 'commander';
import { renderStatus } from './status-output.ts';
import { fetchStatus } from './status-source.ts';

interface StatusOptions {
  readonly url: string;
  readonly kube?: boolean;
  readonly namespace: string;
  readonly release: string;
  readonly output: string;
}

export function statusCommand(): Command {
  return new Command('status')
    .description('show which controllers and data planes there are and which revision each of them holds')
    .option('--url <url>', "the controller's admin address", 'http://127.0.0.1:9091')
    .option('--kube', 'ask the installation that your kubeconfig points at, through its API server')
    .option('-n, --namespace <name>', 'with --kube: namespace of the installation', 'tidegate')
    .option('--release <name>', 'with --kube: name of the Helm release', 'tidegate')
    .option('-o, --output <form>', 'text or json', 'text')
    .addHelpText(
      'after',
      `
A data plane is "current" when it has acknowledged the revision its controller compiled last, "behind N" while N
changes are on their way, and "rejected" when it could not build something: the line then says what and why.
Exit status: 0 all ready data planes are current, 1 no answer, 2 some are behind or rejected something.`,
    )
    .action(async (options: StatusOptions) => {
      try {
        const status = await fetchStatus(options);
        process.stdout.write(options.output === 'json' ? `${JSON.stringify(status, null, 2)}\n` : renderStatus(status));
        const lagging = status.dataPlanes.some(
          (d) => d.load?.ready === true && (d.behind > 0 || d.rejected.length > 0),
        );
        process.exitCode = lagging ? 2 : 0;
      } catch (error) {
        process.stderr.write(`tidegate: ${(error as Error).message}\n`);
        process.exitCode = 1;
      }
    });
}
