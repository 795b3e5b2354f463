/** `tidegate credentials`: fills the credential store that data planes read (TIDEGATE_CREDENTIALS). */
import { Command } from 'commander';
import { consumerCommand } from './consumer.ts';
import { keyCommand } from './key.ts';
import { passwordCommand } from './password.ts';
import { withStore } from './session.ts';

export function credentialsCommand(): Command {
  const credentials = new Command('credentials')
    .description('manage consumers, API keys and passwords in the credential store')
    .option('--store <url>', 'sqlite:PATH or mysql://user:password@host/database (default: TIDEGATE_CREDENTIALS)')
    .option('-o, --output <form>', 'text or json', 'text')
    .addHelpText(
      'after',
      `
Examples:
  export TIDEGATE_CREDENTIALS=sqlite:./credentials.db      or mysql://gate:…@db.example/tidegate?tls=true
  tidegate credentials consumer add acme --group gold --group partners
  tidegate credentials key add acme --label billing        prints the key, once
  tidegate credentials key list acme
  tidegate credentials key revoke 4f1c0a7be21d             refused by every data plane within 2 seconds
  tidegate credentials password set ada < password.txt     or at a prompt that does not echo
  tidegate credentials consumer list -o json

Data planes that have the same TIDEGATE_CREDENTIALS serve these for policies that say so:
  authentication: { methods: [{ name: key, apiKey: { store: true } }] }

A URL with a password belongs into TIDEGATE_CREDENTIALS, or a file that TIDEGATE_CREDENTIALS_FILE names: other users of a
machine see command lines. Keys are kept as SHA-256, passwords as argon2id or scrypt; neither can be shown again.

Exit status: 0 done, 1 not, with one line that says why.`,
    );
  credentials.addCommand(consumerCommand());
  credentials.addCommand(keyCommand());
  credentials.addCommand(passwordCommand());
  credentials
    .command('migrate')
    .description("bring the store's schema to this program's; data planes and these commands do it by themselves")
    .action((_options: object, command: Command) =>
      withStore(command, async ({ store, address, print }) => {
        const taken = await store.migrate();
        const text = taken.length === 0 ? `${address} is up to date\n` : `${address}: took step ${taken.join(', ')}\n`;
        print({ address, taken }, text);
      }),
    );
  return credentials;
}
