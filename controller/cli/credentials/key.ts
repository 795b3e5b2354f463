/** `tidegate credentials key`: API keys, shown once when they are made. */
import { hashOfKey, newKey } from '@tidegate/dataplane/store/credentials/new-key';
import { Command } from 'commander';
import { withMigratedStore } from './session.ts';
import { minute, table } from './table.ts';

export function keyCommand(): Command {
  const key = new Command('key').description('add, list and revoke API keys');

  key
    .command('add <consumer>')
    .description('make a new key for a consumer and print it; it can not be shown again')
    .option('-l, --label <text>', 'what it is for, such as the system that has it', '')
    .action((consumer: string, { label }: { label: string }, command: Command) =>
      withMigratedStore(command, async ({ store, print }) => {
        const made = newKey();
        const hash = hashOfKey(made);
        await store.addKey(consumer, hash, label);
        const id = hash.slice(0, 12);
        print({ id, consumer, label, key: made }, `${made}\n`);
        process.stderr.write(`This is key ${id} of ${consumer}. It is shown this once: only its hash is kept.\n`);
      }),
    );

  key
    .command('list [consumer]')
    .description('list keys by their ids, of one consumer or of all')
    .action((consumer: string | undefined, _options: object, command: Command) =>
      withMigratedStore(command, async ({ store, print }) => {
        const keys = await store.listKeys(consumer);
        const rows = keys.map(({ id, consumer: owner, label, createdAtMs }) => [
          ...[id, owner, label || '-', minute(createdAtMs)],
        ]);
        print(keys, table(['ID', 'CONSUMER', 'LABEL', 'CREATED (UTC)'], rows, 'no keys'));
      }),
    );

  key
    .command('revoke <id>')
    .description('revoke a key by its id, as list shows it; data planes refuse it within 2 seconds')
    .action((id: string, _options: object, command: Command) =>
      withMigratedStore(command, async ({ store, print }) => {
        const revoked = await store.revokeKey(id);
        print(revoked, `key ${revoked.id} of ${revoked.consumer} revoked\n`);
      }),
    );
  return key;
}
