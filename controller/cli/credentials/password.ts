/** `tidegate credentials password`: read from stdin, kept as a hash. */
import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import type { HashAlgorithm } from '@tidegate/dataplane/store/credentials/hash-password';
import { Command, Option } from 'commander';
import { UsageError, withMigratedStore } from './session.ts';

const ALGORITHMS: readonly HashAlgorithm[] = ['argon2id', 'scrypt'];

interface SetOptions {
  readonly algorithm: HashAlgorithm;
  readonly hashed?: boolean;
}

export function passwordCommand(): Command {
  const password = new Command('password').description('set and remove passwords (Basic)');

  password
    .command('set <consumer>')
    .description('set the password of a consumer, read from stdin: never from the command line, where others see it')
    .addOption(new Option('--algorithm <name>', 'how it is hashed').choices(ALGORITHMS).default('argon2id'))
    .option('--hashed', 'stdin holds a hash already: $argon2id$…, $scrypt$… or bcrypt ($2y$…)')
    .action((consumer: string, { algorithm, hashed }: SetOptions, command: Command) =>
      withMigratedStore(command, async ({ store, print }) => {
        const given = await readSecret(`${hashed ? 'hash' : 'password'} for ${consumer}: `);
        await store.setPassword(consumer, hashed ? given : await hash(given, algorithm));
        print({ consumer, password: 'set' }, `password of ${consumer} set\n`);
      }),
    );

  password
    .command('remove <consumer>')
    .description('remove the password of a consumer; data planes refuse it within 2 seconds')
    .action((consumer: string, _options: object, command: Command) =>
      withMigratedStore(command, async ({ store, print }) => {
        await store.removePassword(consumer);
        print({ consumer, password: 'removed' }, `password of ${consumer} removed\n`);
      }),
    );
  return password;
}

async function hash(password: string, algorithm: HashAlgorithm): Promise<string> {
  // Node 24 has argon2 since 24.7: the other commands do without.
  const { hashPassword, passwordProblem } = await import('@tidegate/dataplane/store/credentials/hash-password');
  const problem = passwordProblem(password);
  if (problem !== undefined) throw new UsageError(problem);
  return hashPassword(password, algorithm);
}

/** One line; at a terminal it is asked for and not echoed. */
async function readSecret(question: string): Promise<string> {
  const { stdin, stderr } = process;
  if (!stdin.isTTY) return oneLine(await text(stdin));
  stderr.write(question);
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const terminal = createInterface({ input: stdin, output: nowhere, terminal: true });
  try {
    return await terminal.question('');
  } finally {
    terminal.close();
    stderr.write('\n');
  }
}

function oneLine(input: string): string {
  const line = input.replace(/\r?\n$/, '');
  if (line === '') throw new UsageError('nothing on stdin');
  if (line.includes('\n')) throw new UsageError('more than one line on stdin');
  return line;
}
