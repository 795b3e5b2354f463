/** SQLite in a file, through node:sqlite: for one machine. Its calls are synchronous; a look-up takes some tens of microseconds. */
import { closeSync, openSync } from 'node:fs';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Migration, Query, Row, SqlDriver } from './driver.ts';
import { StoreError } from './store-error.ts';

/** How long a writer waits for another one. Readers wait for nobody (WAL). SQLite's own waiting would hold up the thread. */
const BUSY_MS = 5_000;
const RETRY_MS = 5;
/** SQLITE_BUSY, the low byte of its extended codes. */
const BUSY = 5;

const MIGRATIONS: readonly Migration[] = [
  [
    'CREATE TABLE IF NOT EXISTS tidegate_head (id INTEGER PRIMARY KEY, epoch TEXT NOT NULL, sequence INTEGER NOT NULL)',
    `CREATE TABLE IF NOT EXISTS tidegate_changes (sequence INTEGER PRIMARY KEY, kind TEXT NOT NULL, subject TEXT NOT NULL,
       changed_at INTEGER NOT NULL)`,
    'CREATE TABLE IF NOT EXISTS tidegate_consumers (name TEXT PRIMARY KEY, created_at INTEGER NOT NULL) WITHOUT ROWID',
    `CREATE TABLE IF NOT EXISTS tidegate_groups (consumer TEXT NOT NULL REFERENCES tidegate_consumers (name), name TEXT NOT NULL,
       PRIMARY KEY (consumer, name)) WITHOUT ROWID`,
    `CREATE TABLE IF NOT EXISTS tidegate_api_keys (hash TEXT PRIMARY KEY, consumer TEXT NOT NULL REFERENCES tidegate_consumers (name),
       label TEXT NOT NULL, created_at INTEGER NOT NULL) WITHOUT ROWID`,
    'CREATE INDEX IF NOT EXISTS tidegate_api_keys_consumer ON tidegate_api_keys (consumer)',
    `CREATE TABLE IF NOT EXISTS tidegate_passwords (consumer TEXT PRIMARY KEY REFERENCES tidegate_consumers (name),
       hash TEXT NOT NULL, changed_at INTEGER NOT NULL) WITHOUT ROWID`,
  ],
];

/** Makes the file where it is not there; its folder must be. Rejects with StoreError. */
export async function openSqlite(path: string): Promise<SqlDriver> {
  ownFile(path);
  const driver = new SqliteDriver(path);
  await driver.patiently('PRAGMA journal_mode = WAL');
  return driver;
}

/** Nobody else reads the hashes; SQLite gives its other files the same rights. */
function ownFile(path: string): void {
  if (path === ':memory:') return;
  try {
    closeSync(openSync(path, 'a', 0o600));
  } catch (error) {
    throw new StoreError('STORE_UNAVAILABLE', `sqlite:${path}: ${(error as Error).message}`, error);
  }
}

class SqliteDriver implements SqlDriver {
  readonly migrations = MIGRATIONS;
  readonly tableCount = "SELECT COUNT(*) AS n FROM sqlite_master WHERE type = 'table' AND name = ?";
  readonly #path: string;
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  /** Settles when the last transaction has: there is one connection, and nobody else's statement may slip into one. */
  #last: Promise<unknown> = Promise.resolve();
  #busy = false;

  constructor(path: string) {
    this.#path = path;
    try {
      this.#database = new DatabaseSync(path, { timeout: 0, enableForeignKeyConstraints: true });
    } catch (error) {
      throw this.#failure(error);
    }
  }

  readonly query: Query = async (sql, values = []) => {
    while (this.#busy) await this.#last;
    return this.#run(sql, values);
  };

  async transaction<T>(run: (query: Query) => Promise<T>): Promise<T> {
    while (this.#busy) await this.#last;
    this.#busy = true;
    const done = this.#alone(run);
    this.#last = done.then(
      () => {},
      () => {},
    );
    return done;
  }

  exclusively<T>(run: (query: Query) => Promise<T>): Promise<T> {
    return this.transaction(run);
  }

  async close(): Promise<void> {
    await this.#last;
    if (this.#database.isOpen) this.#database.close();
  }

  async #alone<T>(run: (query: Query) => Promise<T>): Promise<T> {
    try {
      // IMMEDIATE: the one writer from the first statement on, instead of failing at a later one.
      await this.patiently('BEGIN IMMEDIATE');
      const result = await run(async (sql, values = []) => this.#run(sql, values));
      this.#run('COMMIT', []);
      return result;
    } catch (error) {
      if (this.#database.isOpen && this.#database.isTransaction) this.#run('ROLLBACK', []);
      throw error;
    } finally {
      this.#busy = false;
    }
  }

  /** Again and again while another process writes. */
  async patiently(sql: string): Promise<void> {
    for (const until = performance.now() + BUSY_MS; ; await sleep(RETRY_MS)) {
      try {
        this.#run(sql, []);
        return;
      } catch (error) {
        const { errcode = 0 } = (error as StoreError).cause as { errcode?: number };
        if ((errcode & 0xff) !== BUSY || performance.now() > until) throw error;
      }
    }
  }

  #run(sql: string, values: readonly (string | number | null)[]): Row[] {
    try {
      let statement = this.#statements.get(sql);
      if (statement === undefined) {
        statement = this.#database.prepare(sql);
        this.#statements.set(sql, statement);
      }
      return statement.all(...values);
    } catch (error) {
      throw this.#failure(error);
    }
  }

  #failure(error: unknown): StoreError {
    return new StoreError('STORE_UNAVAILABLE', `sqlite:${this.#path}: ${(error as Error).message}`, error);
  }
}
