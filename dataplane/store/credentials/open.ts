/** Opens a credential store; the database's client is loaded with it. */
import type { SqlDriver } from './driver.ts';
import type { StoreLocation } from './location.ts';
import { SqlCredentialStore } from './sql-store.ts';
import type { CredentialStore } from './store.ts';

/** `timeoutMs` bounds each statement of a database on another machine. The schema may be old: see `migrate`. Rejects with StoreError. */
export async function openCredentialStore(location: StoreLocation, timeoutMs: number): Promise<CredentialStore> {
  return new SqlCredentialStore(await driverOf(location, timeoutMs));
}

async function driverOf(location: StoreLocation, timeoutMs: number): Promise<SqlDriver> {
  if (location.kind === 'sqlite') return (await import('./sqlite-driver.ts')).openSqlite(location.path);
  return (await import('./mysql-driver.ts')).openMysql(location, timeoutMs);
}
