/** MySQL and MariaDB, through mysql2. Every statement is bounded in time: what takes longer loses its connection. */
import { readFile } from 'node:fs/promises';
import { createPool, type Pool, type PoolConnection } from 'mysql2/promise';
import type { Migration, Query, Row, SqlDriver } from './driver.ts';
import { describeStoreLocation, type StoreLocation } from './location.ts';
import { StoreError } from './store-error.ts';

type MysqlLocation = Extract<StoreLocation, { kind: 'mysql' }>;

const CONNECTIONS = 4;
/** How long one process may wait for another that changes the schema. */
const MIGRATION_WAIT_SECONDS = 30;
const MIGRATION_STATEMENT_MS = (MIGRATION_WAIT_SECONDS + 5) * 1_000;

/** Names by their bytes: `a` is not `A`, and no accent is left away. */
const TEXT = 'ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin';
const CONSUMER = 'FOREIGN KEY (consumer) REFERENCES tidegate_consumers (name)';

const MIGRATIONS: readonly Migration[] = [
  [
    `CREATE TABLE IF NOT EXISTS tidegate_head (id TINYINT PRIMARY KEY, epoch CHAR(32) NOT NULL, sequence BIGINT NOT NULL) ${TEXT}`,
    `CREATE TABLE IF NOT EXISTS tidegate_changes (sequence BIGINT PRIMARY KEY, kind VARCHAR(16) NOT NULL, subject VARCHAR(253) NOT NULL,
       changed_at BIGINT NOT NULL) ${TEXT}`,
    `CREATE TABLE IF NOT EXISTS tidegate_consumers (name VARCHAR(253) PRIMARY KEY, created_at BIGINT NOT NULL) ${TEXT}`,
    `CREATE TABLE IF NOT EXISTS tidegate_groups (consumer VARCHAR(253) NOT NULL, name VARCHAR(253) NOT NULL,
       PRIMARY KEY (consumer, name), ${CONSUMER}) ${TEXT}`,
    `CREATE TABLE IF NOT EXISTS tidegate_api_keys (hash CHAR(64) CHARACTER SET ascii COLLATE ascii_bin PRIMARY KEY,
       consumer VARCHAR(253) NOT NULL, label VARCHAR(128) NOT NULL, created_at BIGINT NOT NULL, INDEX (consumer), ${CONSUMER}) ${TEXT}`,
    `CREATE TABLE IF NOT EXISTS tidegate_passwords (consumer VARCHAR(253) PRIMARY KEY, hash VARCHAR(512) NOT NULL,
       changed_at BIGINT NOT NULL, ${CONSUMER}) ${TEXT}`,
  ],
];

/** Connects with the first statement. `timeoutMs` bounds each, waiting for a connection included. Throws StoreError. */
export async function openMysql(location: MysqlLocation, timeoutMs: number): Promise<SqlDriver> {
  const { host, port, user, password, database, tlsCa } = location;
  const pool = createPool({
    host,
    port,
    user,
    password,
    database,
    ...(tlsCa !== null && { ssl: await tlsOf(tlsCa) }),
    charset: 'utf8mb4',
    connectionLimit: CONNECTIONS,
    connectTimeout: timeoutMs,
    // Idle ones are closed before servers and firewalls forget them.
    idleTimeout: 60_000,
    maxIdle: 1,
    // Its row readers are compiled with `new Function` otherwise.
    disableEval: true,
  });
  return new MysqlDriver(pool, describeStoreLocation(location), timeoutMs);
}

async function tlsOf(file: string): Promise<{ minVersion: string; ca?: string }> {
  if (file === '') return { minVersion: 'TLSv1.2' };
  try {
    return { minVersion: 'TLSv1.2', ca: await readFile(file, 'utf8') };
  } catch (error) {
    throw new StoreError('STORE_UNAVAILABLE', `tlsCa: ${file} can't be read`, error);
  }
}

class MysqlDriver implements SqlDriver {
  readonly migrations = MIGRATIONS;
  readonly tableCount =
    'SELECT COUNT(*) AS n FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = ?';
  readonly #pool: Pool;
  readonly #address: string;
  readonly #timeoutMs: number;

  constructor(pool: Pool, address: string, timeoutMs: number) {
    this.#pool = pool;
    this.#address = address;
    this.#timeoutMs = timeoutMs;
  }

  readonly query: Query = (sql, values) => this.#connected(this.#timeoutMs, (query) => query(sql, values));

  transaction<T>(run: (query: Query) => Promise<T>): Promise<T> {
    return this.#connected(this.#timeoutMs, async (query) => {
      await query('START TRANSACTION');
      try {
        const result = await run(query);
        await query('COMMIT');
        return result;
      } catch (error) {
        // Of a connection that failed the server takes everything back by itself.
        if (!(error instanceof StoreError && error.retryable)) await query('ROLLBACK');
        throw error;
      }
    });
  }

  exclusively<T>(run: (query: Query) => Promise<T>): Promise<T> {
    return this.#connected(MIGRATION_STATEMENT_MS, async (query) => {
      // Of the whole server, so named after the database; it goes with the connection, whatever happens.
      const name = "CONCAT('tidegate.', SHA1(DATABASE()))";
      const [row] = await query(`SELECT GET_LOCK(${name}, ${MIGRATION_WAIT_SECONDS}) AS got`);
      if (Number(row?.got) !== 1) throw this.#timedOut('another process has been changing the schema for too long');
      try {
        return await run(query);
      } finally {
        await query(`SELECT RELEASE_LOCK(${name})`);
      }
    });
  }

  async close(): Promise<void> {
    await this.#pool.end().catch(() => {});
  }

  /** A connection for as long as `run` takes. One that failed in any way is not used again. */
  async #connected<T>(timeoutMs: number, run: (query: Query) => Promise<T>): Promise<T> {
    const connection = await this.#acquire();
    let sound = true;
    const query: Query = async (sql, values = []) => {
      try {
        return await this.#ask(connection, sql, values, timeoutMs);
      } catch (error) {
        sound = false;
        throw error;
      }
    };
    try {
      return await run(query);
    } finally {
      if (sound) connection.release();
      else connection.destroy();
    }
  }

  #acquire(): Promise<PoolConnection> {
    return new Promise((resolve, reject) => {
      let late = false;
      const timer = setTimeout(() => {
        late = true;
        reject(this.#timedOut(`no connection within ${this.#timeoutMs} ms`));
      }, this.#timeoutMs);
      this.#pool.getConnection().then(
        (connection) => {
          clearTimeout(timer);
          if (late) connection.release();
          else resolve(connection);
        },
        (error: unknown) => {
          clearTimeout(timer);
          reject(this.#failure(error));
        },
      );
    });
  }

  #ask(
    connection: PoolConnection,
    sql: string,
    values: readonly (string | number | null)[],
    timeoutMs: number,
  ): Promise<Row[]> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(this.#timedOut(`no answer within ${timeoutMs} ms`)), timeoutMs);
      // Statements of transactions can't be prepared everywhere; they have no values.
      const asked = values.length === 0 ? connection.query(sql) : connection.execute(sql, [...values]);
      asked
        .then(
          ([rows]) => resolve(Array.isArray(rows) ? (rows as Row[]) : []),
          (error: unknown) => reject(this.#failure(error)),
        )
        .finally(() => clearTimeout(timer));
    });
  }

  #timedOut(why: string): StoreError {
    return new StoreError('STORE_TIMEOUT', `${this.#address}: ${why}`);
  }

  #failure(error: unknown): StoreError {
    const { code = '', message } = error as { code?: string; message: string };
    // The text of a duplicate quotes the value.
    const why = code === 'ER_DUP_ENTRY' || message === '' ? code : message;
    return new StoreError('STORE_UNAVAILABLE', `${this.#address}: ${why}`, error);
  }
}
