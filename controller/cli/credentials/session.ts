/** One command's use of the credential store: found, brought to this program's schema, used, closed; what goes wrong is one line. */
import { readFileSync } from 'node:fs';
import {
  describeStoreLocation,
  readStoreLocation,
  STORE_LOCATION_FORM,
  type StoreLocation,
} from '@tidegate/dataplane/store/credentials/location';
import { openCredentialStore } from '@tidegate/dataplane/store/credentials/open';
import type { CredentialStore } from '@tidegate/dataplane/store/credentials/store';
import type { Command } from 'commander';

/** Somebody waits at a terminal: longer than a data plane would. */
const TIMEOUT_MS = 10_000;

interface SharedOptions {
  readonly store?: string;
  readonly output: string;
}

export interface Session {
  readonly store: CredentialStore;
  /** Without its password. */
  readonly address: string;
  /** Prints `json` where that was asked for, else `text`. */
  readonly print: (json: unknown, text: string) => void;
}

/** A mistake of who typed it; the message is the whole line. */
export class UsageError extends Error {}

/** Runs `use`; sets the exit status: 0 done, 1 not. */
export async function withStore(command: Command, use: (session: Session) => Promise<void>): Promise<void> {
  let store: CredentialStore | undefined;
  try {
    const options = command.optsWithGlobals<SharedOptions>();
    if (!['text', 'json'].includes(options.output)) throw new UsageError('-o must be text or json');
    const location = locationOf(options.store);
    store = await openCredentialStore(location, TIMEOUT_MS);
    await use({
      store,
      address: describeStoreLocation(location),
      print: (json, text) => {
        process.stdout.write(options.output === 'json' ? `${JSON.stringify(json, null, 2)}\n` : text);
      },
    });
  } catch (error) {
    process.stderr.write(`tidegate: ${(error as Error).message}\n`);
    process.exitCode = 1;
  } finally {
    await store?.close();
  }
}

/** As withStore, with the schema of this program. */
export function withMigratedStore(command: Command, use: (session: Session) => Promise<void>): Promise<void> {
  return withStore(command, async (session) => {
    await session.store.migrate();
    await use(session);
  });
}

function locationOf(option: string | undefined): StoreLocation {
  const { TIDEGATE_CREDENTIALS: variable, TIDEGATE_CREDENTIALS_FILE: file } = process.env;
  const given = option ?? (variable || (file ? contentOf(file) : ''));
  if (given === '') {
    throw new UsageError(
      `which credential store? Give --store, or set TIDEGATE_CREDENTIALS or TIDEGATE_CREDENTIALS_FILE: ${STORE_LOCATION_FORM}`,
    );
  }
  const location = readStoreLocation(given);
  // It may hold a password: not quoted.
  if (location === null) throw new UsageError(`the credential store must be ${STORE_LOCATION_FORM}`);
  return location;
}

function contentOf(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    throw new UsageError(`TIDEGATE_CREDENTIALS_FILE: ${file} can't be read: ${(error as NodeJS.ErrnoException).code}`);
  }
}
