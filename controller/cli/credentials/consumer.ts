/** `tidegate credentials consumer`: who there is, and in which groups. */
import { Command } from 'commander';
import { UsageError, withMigratedStore } from './session.ts';
import { minute, table } from './table.ts';

export function consumerCommand(): Command {
  const consumer = new Command('consumer').description('add, list and remove consumers, and set their groups');

  consumer
    .command('add <name>')
    .description('add a consumer')
    .option('-g, --group <group...>', 'groups it is in', [])
    .action((name: string, { group }: { group: string[] }, command: Command) =>
      withMigratedStore(command, async ({ store, print }) => {
        await store.addConsumer(name, group);
        print({ name, groups: [...new Set(group)].sort() }, `consumer ${name} added\n`);
      }),
    );

  consumer
    .command('list')
    .description('list consumers with their groups, keys and passwords')
    .action((_options: object, command: Command) =>
      withMigratedStore(command, async ({ store, print }) => {
        const consumers = await store.listConsumers();
        const rows = consumers.map(({ name, groups, keys, hasPassword, createdAtMs }) => [
          ...[name, groups.join(',') || '-', String(keys), hasPassword ? 'yes' : 'no', minute(createdAtMs)],
        ]);
        print(consumers, table(['NAME', 'GROUPS', 'KEYS', 'PASSWORD', 'CREATED (UTC)'], rows, 'no consumers yet'));
      }),
    );

  consumer
    .command('remove <name>')
    .description('remove a consumer with its keys and its password')
    .action((name: string, _options: object, command: Command) =>
      withMigratedStore(command, async ({ store, print }) => {
        await store.removeConsumer(name);
        print({ removed: name }, `consumer ${name} removed, with its keys and its password\n`);
      }),
    );

  consumer
    .command('groups <name> [groups...]')
    .description('put a consumer into these groups, and into no others')
    .option('--none', 'into no group at all')
    .action((name: string, groups: string[], { none }: { none?: boolean }, command: Command) =>
      withMigratedStore(command, async ({ store, print }) => {
        if ((groups.length === 0) !== (none === true)) throw new UsageError('name the groups, or give --none');
        await store.setGroups(name, groups);
        const set = [...new Set(groups)].sort();
        print({ name, groups: set }, `consumer ${name} is in ${set.length === 0 ? 'no group' : set.join(', ')}\n`);
      }),
    );
  return consumer;
}
