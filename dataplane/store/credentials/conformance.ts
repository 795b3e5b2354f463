/** What every credential store has to do, run against each implementation: `describe(name, () => credentialStoreConformance(…))`. */
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type CredentialStore, LOG_LENGTH, MAX_CHANGES } from './store.ts';

export interface Subject {
  /** Another connection to the same, empty at first, database. */
  open(): Promise<CredentialStore>;
  dispose(): Promise<void>;
}

const HASH = '$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW';
const OTHER_HASH = '$2a$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK';
const key = (text: string) => createHash('sha256').update(text).digest('hex');

export function credentialStoreConformance(create: () => Promise<Subject>): void {
  let subject: Subject;
  let store: CredentialStore;
  const opened: CredentialStore[] = [];
  const open = async () => {
    const another = await subject.open();
    opened.push(another);
    return another;
  };

  beforeAll(async () => {
    subject = await create();
  });
  afterAll(async () => {
    for (const one of opened) await one.close();
    await subject?.dispose();
  });

  test('of several that migrate at once one takes each step; after that there is nothing to do', async () => {
    const stores = await Promise.all(Array.from({ length: 4 }, open));
    const taken = await Promise.all(stores.map((one) => one.migrate()));
    expect(taken.flat()).toEqual([1]);
    store = stores[0] as CredentialStore;
    expect(await store.migrate()).toEqual([]);
    const state = await store.changesAfter(-1);
    expect(state).toEqual({ epoch: expect.stringMatching(/^[0-9a-f]{32}$/), sequence: 0, changes: null });
    expect(await store.changesAfter(0)).toEqual({ ...state, changes: [] });
  });

  describe('consumers', () => {
    test('have groups, which can be changed', async () => {
      await store.addConsumer('acme', ['partners', 'gold', 'gold']);
      await store.addConsumer('Acme', []);
      await store.addConsumer('jürgen \u{1F600}', ['a b']);
      const names = (await store.listConsumers()).map(({ name, groups }) => [name, groups]);
      expect(names).toEqual([
        ['Acme', []],
        ['acme', ['gold', 'partners']],
        ['jürgen \u{1F600}', ['a b']],
      ]);
      await store.setGroups('acme', ['silver']);
      expect((await store.listConsumers())[1]).toMatchObject({ name: 'acme', groups: ['silver'], keys: 0 });
    });

    test.each([
      ['', 'STORE_INVALID'],
      ['a:b', 'STORE_INVALID'],
      [' a', 'STORE_INVALID'],
      ['a\nb', 'STORE_INVALID'],
      ['u\u0308', 'STORE_INVALID'],
      ['x'.repeat(254), 'STORE_INVALID'],
      ['acme', 'STORE_EXISTS'],
    ])('%j can’t be added', async (name, code) => {
      await expect(store.addConsumer(name, [])).rejects.toMatchObject({ code });
    });

    test('of bad groups, or none there, nothing is written', async () => {
      const { sequence } = await store.changesAfter(-1);
      await expect(store.addConsumer('new', ['a,b'])).rejects.toMatchObject({ code: 'STORE_INVALID' });
      await expect(store.setGroups('nobody', [])).rejects.toMatchObject({ code: 'STORE_NOT_FOUND' });
      await expect(store.setGroups('acme ', [])).rejects.toMatchObject({ code: 'STORE_NOT_FOUND' });
      await expect(store.removeConsumer('nobody')).rejects.toMatchObject({ code: 'STORE_NOT_FOUND' });
      expect((await store.changesAfter(-1)).sequence).toBe(sequence);
    });
  });

  describe('keys', () => {
    test('name their consumer with its groups, several at a time, until each is revoked', async () => {
      await store.addKey('acme', key('one'), 'first');
      await store.addKey('acme', key('two'), '');
      expect(await store.findKey(key('one'))).toEqual({ name: 'acme', groups: ['silver'] });
      expect(await store.findKey(key('two'))).toEqual({ name: 'acme', groups: ['silver'] });
      expect(await store.findKey(key('three'))).toBeNull();
      const listed = await store.listKeys('acme');
      expect(listed.map(({ label }) => label).sort()).toEqual(['', 'first']);
      const first = listed.find(({ label }) => label === 'first');
      expect(first).toMatchObject({ id: key('one').slice(0, 12), consumer: 'acme' });
      expect(await store.revokeKey(key('one').slice(0, 12))).toEqual(first);
      expect(await store.findKey(key('one'))).toBeNull();
      expect(await store.findKey(key('two'))).not.toBeNull();
      expect(await store.listKeys()).toHaveLength(1);
    });

    test('are refused for nobody, twice, and where they are no hash', async () => {
      await expect(store.addKey('nobody', key('x'), '')).rejects.toMatchObject({ code: 'STORE_NOT_FOUND' });
      await expect(store.addKey('acme', key('two'), '')).rejects.toMatchObject({ code: 'STORE_EXISTS' });
      await expect(store.addKey('acme', 'two', '')).rejects.toMatchObject({ code: 'STORE_INVALID' });
      await expect(store.listKeys('nobody')).rejects.toMatchObject({ code: 'STORE_NOT_FOUND' });
      await expect(store.revokeKey(key('one'))).rejects.toMatchObject({ code: 'STORE_NOT_FOUND' });
      await expect(store.revokeKey('%')).rejects.toMatchObject({ code: 'STORE_INVALID' });
    });

    test('are revoked only by an id that is one key’s', async () => {
      const start = 'abcdef01';
      await store.addKey('acme', start.padEnd(64, '0'), '');
      await store.addKey('acme', start.padEnd(64, '1'), '');
      await expect(store.revokeKey(start)).rejects.toMatchObject({ code: 'STORE_INVALID' });
      await store.revokeKey(`${start}0`);
      await store.revokeKey(start);
    });
  });

  describe('passwords', () => {
    test('are set, replaced and removed', async () => {
      expect(await store.findPassword('acme')).toBeNull();
      await store.setPassword('acme', HASH);
      expect(await store.findPassword('acme')).toEqual({ name: 'acme', groups: ['silver'], hash: HASH });
      await store.setPassword('acme', OTHER_HASH);
      expect(await store.findPassword('acme')).toMatchObject({ hash: OTHER_HASH });
      for (const near of ['acme ', 'Acme', 'ACME', 'ácme']) expect(await store.findPassword(near)).toBeNull();
      await store.removePassword('acme');
      expect(await store.findPassword('acme')).toBeNull();
      await expect(store.removePassword('acme')).rejects.toMatchObject({ code: 'STORE_NOT_FOUND' });
    });

    test('that are none, or of nobody, are refused', async () => {
      await expect(store.setPassword('acme', 'hunter2')).rejects.toMatchObject({ code: 'STORE_INVALID' });
      await expect(store.setPassword('nobody', HASH)).rejects.toMatchObject({ code: 'STORE_NOT_FOUND' });
    });
  });

  test('a consumer goes with all it has', async () => {
    await store.setPassword('acme', HASH);
    await store.removeConsumer('acme');
    expect(await store.findKey(key('two'))).toBeNull();
    expect(await store.findPassword('acme')).toBeNull();
    expect((await store.listConsumers()).map(({ name }) => name)).toEqual(['Acme', 'jürgen \u{1F600}']);
  });

  test('text that looks like SQL is text', async () => {
    const name = `'; DROP TABLE tidegate_consumers; -- "\\`;
    await store.addConsumer(name, [`'"\\%_`]);
    await store.addKey(name, key(name), name);
    expect(await store.findKey(key(name))).toEqual({ name, groups: [`'"\\%_`] });
    expect(await store.findPassword("' OR '1'='1")).toBeNull();
    await store.removeConsumer(name);
  });

  describe('the log of changes', () => {
    test('says what each write touched, in order', async () => {
      const { sequence } = await store.changesAfter(-1);
      await store.addConsumer('logged', []);
      await store.addKey('logged', key('logged'), '');
      await store.setPassword('logged', HASH);
      await store.removeConsumer('logged');
      const { changes, ...state } = await store.changesAfter(sequence);
      expect(state.sequence).toBe(sequence + 4);
      expect(changes).toEqual([
        { kind: 'consumer', subject: 'logged' },
        { kind: 'key', subject: key('logged') },
        { kind: 'consumer', subject: 'logged' },
        { kind: 'consumer', subject: 'logged' },
      ]);
      expect((await store.changesAfter(sequence + 3)).changes).toHaveLength(1);
      expect((await store.changesAfter(sequence + 4)).changes).toEqual([]);
      // A reader from a future that was taken back with a backup.
      expect((await store.changesAfter(sequence + 5)).changes).toBeNull();
    });

    test('has no gap and nothing that appears late, whoever writes at once', async () => {
      const writers = await Promise.all(Array.from({ length: 4 }, open));
      const { sequence: from } = await store.changesAfter(-1);
      let writing = true;
      const seen: string[] = [];
      const reader = (async () => {
        let at = from;
        for (let last = false; ; last = !writing) {
          const { sequence, changes } = await store.changesAfter(at);
          expect(changes).not.toBeNull();
          for (const { subject } of changes ?? []) seen.push(subject);
          at = sequence;
          if (last) return;
          await new Promise((resolve) => setTimeout(resolve, 1));
        }
      })();
      await Promise.all(
        writers.map(async (writer, w) => {
          for (let i = 0; i < 10; i++) {
            await writer.addConsumer(`writer ${w} ${i}`, ['g']);
            await expect(writer.addConsumer(`writer ${w} ${i}`, [])).rejects.toMatchObject({ code: 'STORE_EXISTS' });
          }
        }),
      );
      writing = false;
      await reader;
      expect(seen).toHaveLength(40);
      expect(new Set(seen).size).toBe(40);
    });

    test('that is longer than a reader can be told says so', async () => {
      expect(LOG_LENGTH).toBeGreaterThan(MAX_CHANGES);
      const { sequence, epoch } = await store.changesAfter(-1);
      await store.addConsumer('busy', []);
      for (let i = 0; i < MAX_CHANGES + 1; i++) await store.setGroups('busy', []);
      const told = await store.changesAfter(sequence);
      expect(told).toEqual({ epoch, sequence: sequence + MAX_CHANGES + 2, changes: null });
    });
  });

  test('what one writes another reads', async () => {
    const other = await open();
    await other.addKey('busy', key('from another'), '');
    expect(await store.findKey(key('from another'))).toMatchObject({ name: 'busy' });
  });
}
