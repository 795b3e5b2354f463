import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, test } from 'vitest';
import { credentialStoreConformance } from './conformance.ts';
import { openCredentialStore } from './open.ts';

const folder = () => mkdtempSync(join(tmpdir(), 'tidegate-credentials-'));

describe('SQLite', () => {
  credentialStoreConformance(async () => {
    const directory = folder();
    return {
      open: () => openCredentialStore({ kind: 'sqlite', path: join(directory, 'credentials.db') }, 1_000),
      dispose: async () => rmSync(directory, { recursive: true }),
    };
  });
});

test('a folder that is not there is named, with the path', async () => {
  const opened = openCredentialStore({ kind: 'sqlite', path: '/nowhere/at/all/c.db' }, 1_000);
  await expect(opened).rejects.toMatchObject({
    code: 'STORE_UNAVAILABLE',
    message: expect.stringMatching(/^sqlite:\/nowhere/),
  });
});

test('nobody else can read the file', async () => {
  const directory = folder();
  const path = join(directory, 'c.db');
  const store = await openCredentialStore({ kind: 'sqlite', path }, 1_000);
  await store.migrate();
  for (const file of [path, `${path}-wal`]) expect(statSync(file).mode & 0o777).toBe(0o600);
  await store.close();
  rmSync(directory, { recursive: true });
});

test('a schema of a newer program is left alone', async () => {
  const directory = folder();
  const path = join(directory, 'c.db');
  const store = await openCredentialStore({ kind: 'sqlite', path }, 1_000);
  await store.migrate();
  const database = new DatabaseSync(path);
  database.exec('INSERT INTO tidegate_schema VALUES (99, 0)');
  database.close();
  await expect(store.migrate()).rejects.toMatchObject({
    code: 'STORE_TOO_NEW',
    message: expect.stringContaining('schema 99'),
  });
  await store.close();
  rmSync(directory, { recursive: true });
});
