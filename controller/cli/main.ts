#!/usr/bin/env node
/** The `tidegate` command. Each sub-command is one file; this one only says what there is. */
import { Command } from 'commander';
import { VERSION } from '../version.ts';
import { credentialsCommand } from './credentials/command.ts';
import { explainCommand } from './explain.ts';
import { runCommand } from './run.ts';
import { statusCommand } from './status.ts';
import { validateCommand } from './validate.ts';

const program = new Command('tidegate')
  .description('Kubernetes-native API gateway. On a laptop it runs from a folder of YAML, with the same two programs.')
  .version(VERSION, '-V, --version')
  .showHelpAfterError('(tidegate --help lists the commands)')
  .addHelpText(
    'after',
    `
Examples:
  tidegate run ./config             serve the routes in ./config on http://127.0.0.1:8080, reload on save
  tidegate validate ./config        check every file as the gateway would; exit 1 on the first bad one
  tidegate status                   which controllers and data planes hold which revision
  tidegate status --kube            the same, of the installation your kubeconfig points at
  tidegate credentials --help       consumers, API keys and passwords in the credential store
  tidegate explain GET http://127.0.0.1:8080/orders/42
                                    which rule and policies decide about this request, and what they say
`,
  );

program.addCommand(runCommand());
program.addCommand(validateCommand());
program.addCommand(statusCommand());
program.addCommand(explainCommand());
program.addCommand(credentialsCommand());
program.addCommand(
  new Command('version').description('print the version of this program and of Node').action(() => {
    process.stdout.write(`tidegate ${VERSION} (node ${process.versions.node}, ${process.platform} ${process.arch})\n`);
  }),
);

await program.parseAsync(process.argv);
