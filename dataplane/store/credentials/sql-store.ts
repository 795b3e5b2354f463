/**
 * The store in SQL, the same for both databases.
 *
 * The log of changes is read by sequence number, so numbers must become visible in their order: a reader that saw 6 will never ask for 5
 * again. Each writing transaction therefore begins by counting up the one row of tidegate_head, and holds that row until it ends. The next
 * one waits there, so its number is given out only after the one before is visible or has been taken back (with its number, so there are
 * no gaps either). SQLite has one writer at a time anyway. Writes are an operator's; nobody misses them happening at once.
 */
import { randomBytes } from 'node:crypto';
import { readPasswordHash } from '../../snapshot/password-hash.ts';
import type { Query, Row, SqlDriver } from './driver.ts';
import { groupsProblem, nameProblem } from './names.ts';
import {
  type Change,
  type Changes,
  type Consumer,
  type ConsumerSummary,
  type CredentialStore,
  type KeySummary,
  LOG_LENGTH,
  MAX_CHANGES,
  type PasswordRecord,
} from './store.ts';
import { StoreError } from './store-error.ts';

const KEY_COLUMNS = 'SELECT hash, consumer, label, created_at FROM tidegate_api_keys';

export class SqlCredentialStore implements CredentialStore {
  readonly #driver: SqlDriver;
  readonly #epochMs: () => number;

  constructor(driver: SqlDriver, epochMs: () => number = Date.now) {
    this.#driver = driver;
    this.#epochMs = epochMs;
  }

  async migrate(): Promise<readonly number[]> {
    const driver = this.#driver;
    // Most of the time there is nothing to do, and then no right to change the schema is needed.
    if ((await this.#version(driver.query)) === driver.migrations.length) return [];
    return driver.exclusively(async (query) => {
      const version = await this.#version(query);
      const taken: number[] = [];
      for (const [index, statements] of driver.migrations.entries()) {
        const number = index + 1;
        if (number <= version) continue;
        for (const statement of statements) await query(statement);
        if (number === 1) await seed(query);
        await query(
          'CREATE TABLE IF NOT EXISTS tidegate_schema (version INTEGER PRIMARY KEY, applied_at BIGINT NOT NULL)',
        );
        await query('INSERT INTO tidegate_schema (version, applied_at) VALUES (?, ?)', [number, this.#epochMs()]);
        taken.push(number);
      }
      return taken;
    });
  }

  async findKey(hash: string): Promise<Consumer | null> {
    const rows = await this.#driver.query(
      `SELECT k.consumer AS name, g.name AS group_name FROM tidegate_api_keys k
       LEFT JOIN tidegate_groups g ON g.consumer = k.consumer WHERE k.hash = ?`,
      [hash],
    );
    return consumerOf(rows);
  }

  async findPassword(consumer: string): Promise<PasswordRecord | null> {
    const rows = await this.#driver.query(
      `SELECT p.consumer AS name, p.hash AS hash, g.name AS group_name FROM tidegate_passwords p
       LEFT JOIN tidegate_groups g ON g.consumer = p.consumer WHERE p.consumer = ?`,
      [consumer],
    );
    const found = consumerOf(rows);
    // Some collations take trailing spaces for nothing.
    return found?.name === consumer ? { ...found, hash: String(rows[0]?.hash) } : null;
  }

  async changesAfter(sequence: number): Promise<Changes> {
    // One statement: head and log are of one moment.
    const rows = await this.#driver.query(
      `SELECT h.epoch AS epoch, h.sequence AS head, c.sequence AS sequence, c.kind AS kind, c.subject AS subject FROM tidegate_head h
       LEFT JOIN tidegate_changes c ON c.sequence > ? AND c.sequence > h.sequence - ${LOG_LENGTH}
       ORDER BY c.sequence LIMIT ${MAX_CHANGES + 1}`,
      [sequence < 0 ? Number.MAX_SAFE_INTEGER : sequence],
    );
    const [first] = rows;
    if (first === undefined) throw new StoreError('STORE_UNAVAILABLE', 'the credential store has no head row');
    const head = Number(first.head);
    const changes = rows.flatMap(({ kind, subject }) => (kind === null ? [] : [{ kind, subject } as Change]));
    const whole = sequence <= head && changes.length === head - sequence;
    return { epoch: String(first.epoch), sequence: head, changes: sequence >= 0 && whole ? changes : null };
  }

  async addConsumer(name: string, groups: readonly string[]): Promise<void> {
    check(nameProblem(name) ?? groupsProblem(groups));
    await this.#write({ kind: 'consumer', subject: name }, async (query) => {
      const found = await query('SELECT name FROM tidegate_consumers WHERE name = ?', [name]);
      if (found.length > 0) throw new StoreError('STORE_EXISTS', `there is a consumer ${name} already`);
      await query('INSERT INTO tidegate_consumers (name, created_at) VALUES (?, ?)', [name, this.#epochMs()]);
      await insertGroups(query, name, groups);
    });
  }

  async setGroups(name: string, groups: readonly string[]): Promise<void> {
    check(groupsProblem(groups));
    await this.#write({ kind: 'consumer', subject: name }, async (query) => {
      await mustExist(query, name);
      await query('DELETE FROM tidegate_groups WHERE consumer = ?', [name]);
      await insertGroups(query, name, groups);
    });
  }

  async removeConsumer(name: string): Promise<void> {
    await this.#write({ kind: 'consumer', subject: name }, async (query) => {
      await mustExist(query, name);
      for (const table of ['tidegate_groups', 'tidegate_api_keys', 'tidegate_passwords']) {
        await query(`DELETE FROM ${table} WHERE consumer = ?`, [name]);
      }
      await query('DELETE FROM tidegate_consumers WHERE name = ?', [name]);
    });
  }

  async listConsumers(): Promise<readonly ConsumerSummary[]> {
    const rows = await this.#driver.query(
      `SELECT c.name AS name, c.created_at AS created_at, g.name AS group_name,
         (SELECT COUNT(*) FROM tidegate_api_keys k WHERE k.consumer = c.name) AS api_keys,
         (SELECT COUNT(*) FROM tidegate_passwords p WHERE p.consumer = c.name) AS passwords
       FROM tidegate_consumers c LEFT JOIN tidegate_groups g ON g.consumer = c.name`,
    );
    return [...Map.groupBy(rows, ({ name }) => String(name)).entries()]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, own]) => ({
        name,
        groups: groupsOf(own),
        keys: Number(own[0]?.api_keys),
        hasPassword: Number(own[0]?.passwords) > 0,
        createdAtMs: Number(own[0]?.created_at),
      }));
  }

  async addKey(consumer: string, hash: string, label: string): Promise<void> {
    check(/^[0-9a-f]{64}$/.test(hash) ? undefined : 'the hash of a key is 64 hexadecimal digits');
    check(label.length <= 128 ? undefined : 'a label has at most 128 characters');
    await this.#write({ kind: 'key', subject: hash }, async (query) => {
      await mustExist(query, consumer);
      const found = await query('SELECT hash FROM tidegate_api_keys WHERE hash = ?', [hash]);
      if (found.length > 0) throw new StoreError('STORE_EXISTS', 'this key is in the store already');
      const values = [hash, consumer, label, this.#epochMs()];
      await query('INSERT INTO tidegate_api_keys (hash, consumer, label, created_at) VALUES (?, ?, ?, ?)', values);
    });
  }

  async listKeys(consumer?: string): Promise<readonly KeySummary[]> {
    const { query } = this.#driver;
    if (consumer !== undefined) await mustExist(query, consumer);
    const rows =
      consumer === undefined
        ? await query(`${KEY_COLUMNS} ORDER BY created_at, hash`)
        : await query(`${KEY_COLUMNS} WHERE consumer = ? ORDER BY created_at, hash`, [consumer]);
    return rows.map(keyOf);
  }

  async revokeKey(id: string): Promise<KeySummary> {
    check(
      /^[0-9a-f]{8,64}$/.test(id) ? undefined : 'the id of a key is 8 to 64 hexadecimal digits, as key list shows them',
    );
    const rows = await this.#driver.query(`${KEY_COLUMNS} WHERE hash LIKE ?`, [`${id}%`]);
    const [row] = rows;
    if (row === undefined) throw new StoreError('STORE_NOT_FOUND', `there is no key ${id}`);
    if (rows.length > 1)
      throw new StoreError('STORE_INVALID', `${id} is the beginning of ${rows.length} keys: give more digits`);
    const hash = String(row.hash);
    await this.#write({ kind: 'key', subject: hash }, async (query) => {
      const still = await query('SELECT hash FROM tidegate_api_keys WHERE hash = ?', [hash]);
      if (still.length === 0) throw new StoreError('STORE_NOT_FOUND', `there is no key ${id}`);
      await query('DELETE FROM tidegate_api_keys WHERE hash = ?', [hash]);
    });
    return keyOf(row);
  }

  async setPassword(consumer: string, hash: string): Promise<void> {
    const problem = readPasswordHash(hash);
    check(typeof problem === 'string' ? `the password ${problem}` : undefined);
    await this.#write({ kind: 'consumer', subject: consumer }, async (query) => {
      await mustExist(query, consumer);
      await query('DELETE FROM tidegate_passwords WHERE consumer = ?', [consumer]);
      const values = [consumer, hash, this.#epochMs()];
      await query('INSERT INTO tidegate_passwords (consumer, hash, changed_at) VALUES (?, ?, ?)', values);
    });
  }

  async removePassword(consumer: string): Promise<void> {
    await this.#write({ kind: 'consumer', subject: consumer }, async (query) => {
      const found = await query('SELECT consumer FROM tidegate_passwords WHERE consumer = ?', [consumer]);
      if (found.length === 0) throw new StoreError('STORE_NOT_FOUND', `${consumer} has no password`);
      await query('DELETE FROM tidegate_passwords WHERE consumer = ?', [consumer]);
    });
  }

  close(): Promise<void> {
    return this.#driver.close();
  }

  /** 0: there is no schema yet. Rejects where it is newer than this program. */
  async #version(query: Query): Promise<number> {
    const { tableCount, migrations } = this.#driver;
    const [tables] = await query(tableCount, ['tidegate_schema']);
    if (Number(tables?.n) === 0) return 0;
    const [row] = await query('SELECT COALESCE(MAX(version), 0) AS version FROM tidegate_schema');
    const version = Number(row?.version);
    if (version <= migrations.length) return version;
    const message = `the credential store has schema ${version}, and this program knows ${migrations.length}: use a newer one`;
    throw new StoreError('STORE_TOO_NEW', message);
  }

  #write(change: Change, run: (query: Query) => Promise<void>): Promise<void> {
    return this.#driver.transaction(async (query) => {
      await query('UPDATE tidegate_head SET sequence = sequence + 1 WHERE id = 1');
      await run(query);
      const [head] = await query('SELECT sequence FROM tidegate_head WHERE id = 1');
      const sequence = Number(head?.sequence);
      const values = [sequence, change.kind, change.subject, this.#epochMs()];
      await query('INSERT INTO tidegate_changes (sequence, kind, subject, changed_at) VALUES (?, ?, ?, ?)', values);
      await query('DELETE FROM tidegate_changes WHERE sequence <= ?', [sequence - LOG_LENGTH]);
    });
  }
}

/** Where a step broke off half-way on a database that can't take tables back, the row may be there. */
async function seed(query: Query): Promise<void> {
  const found = await query('SELECT id FROM tidegate_head WHERE id = 1');
  if (found.length > 0) return;
  const values = [1, randomBytes(16).toString('hex'), 0];
  await query('INSERT INTO tidegate_head (id, epoch, sequence) VALUES (?, ?, ?)', values);
}

function check(problem: string | undefined): void {
  if (problem !== undefined) throw new StoreError('STORE_INVALID', problem);
}

async function mustExist(query: Query, name: string): Promise<void> {
  const [row] = await query('SELECT name FROM tidegate_consumers WHERE name = ?', [name]);
  if (row?.name !== name) throw new StoreError('STORE_NOT_FOUND', `there is no consumer ${name}`);
}

async function insertGroups(query: Query, consumer: string, groups: readonly string[]): Promise<void> {
  for (const group of new Set(groups)) {
    await query('INSERT INTO tidegate_groups (consumer, name) VALUES (?, ?)', [consumer, group]);
  }
}

function consumerOf(rows: readonly Row[]): Consumer | null {
  const [first] = rows;
  return first === undefined ? null : { name: String(first.name), groups: groupsOf(rows) };
}

function groupsOf(rows: readonly Row[]): string[] {
  return rows.flatMap(({ group_name: name }) => (name === null ? [] : [String(name)])).sort();
}

function keyOf({ hash, consumer, label, created_at: createdAt }: Row): KeySummary {
  return {
    id: String(hash).slice(0, 12),
    consumer: String(consumer),
    label: String(label),
    createdAtMs: Number(createdAt),
  };
}
