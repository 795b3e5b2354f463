/** The command as it is typed, against a SQLite store. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { openCredentialStore } from '@tidegate/dataplane/store/credentials/open';
import { afterAll, beforeAll, expect, test } from 'vitest';

/** Without the rest of the program, which takes long to load. */
const ENTRY = `
  import { credentialsCommand } from ${JSON.stringify(path.join(import.meta.dirname, 'command.ts'))};
  await credentialsCommand().parseAsync(process.argv.slice(1), { from: 'user' });`;
const folder = mkdtempSync(path.join(tmpdir(), 'tidegate-cli-'));
const location = { kind: 'sqlite', path: path.join(folder, 'c.db') } as const;
const STORE = `sqlite:${location.path}`;

beforeAll(async () => {
  expect(await run(['migrate'])).toMatchObject({ out: `${STORE}: took step 1\n` });
});
afterAll(() => rmSync(folder, { recursive: true }));

interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

function run(
  args: readonly string[],
  { input = '', env = { TIDEGATE_CREDENTIALS: STORE } as object } = {},
): Promise<Ran> {
  const { PATH } = process.env;
  const flags = ['--conditions=source', '--input-type=module', '-e', ENTRY, '--'];
  const child = spawn(process.execPath, [...flags, ...args], { env: { PATH, ...env } });
  child.stdin.end(input);
  let [out, err] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text;
  });
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, out, err })));
}

test('a consumer, its key and its password, from the first to the last', async () => {
  expect(await run(['consumer', 'add', 'acme', '-g', 'partners', 'gold'])).toMatchObject({ code: 0, err: '' });
  const added = await run(['key', 'add', 'acme', '--label', 'billing']);
  expect(added.out).toMatch(/^tgk_[A-Za-z0-9_-]{43}\n$/);
  const hash = createHash('sha256').update(added.out.trim()).digest('hex');
  expect(added.err).toContain(`key ${hash.slice(0, 12)} of acme`);
  expect(added.err).not.toContain(added.out.trim());

  const store = await openCredentialStore(location, 1_000);
  expect(await store.findKey(hash)).toEqual({ name: 'acme', groups: ['gold', 'partners'] });
  expect((await run(['key', 'list'])).out).toContain(`${hash.slice(0, 12)}  acme      billing`);

  expect(await run(['password', 'set', 'acme'], { input: 'correct horse\n' })).toMatchObject({ code: 0 });
  expect((await store.findPassword('acme'))?.hash).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
  await run(['password', 'set', 'acme', '--algorithm', 'scrypt'], { input: 'correct horse' });
  expect((await store.findPassword('acme'))?.hash).toMatch(/^\$scrypt\$ln=15,r=8,p=3\$/);

  const listed = await run(['consumer', 'list', '-o', 'json']);
  expect(JSON.parse(listed.out)).toEqual([
    { name: 'acme', groups: ['gold', 'partners'], keys: 1, hasPassword: true, createdAtMs: expect.any(Number) },
  ]);
  expect(await run(['consumer', 'groups', 'acme', 'silver'])).toMatchObject({ code: 0 });
  expect(await run(['key', 'revoke', hash.slice(0, 12), '-o', 'json'])).toMatchObject({ code: 0 });
  expect(await store.findKey(hash)).toBeNull();
  expect(await run(['password', 'remove', 'acme'])).toMatchObject({ code: 0 });
  expect(await run(['consumer', 'remove', 'acme'])).toMatchObject({ code: 0 });
  expect((await run(['consumer', 'list'])).out).toBe('no consumers yet\n');
  await store.close();
}, 60_000);

test.each([
  [['consumer', 'remove', 'nobody'], 'there is no consumer nobody'],
  [['consumer', 'add', 'a:b'], 'no colon'],
  [['consumer', 'groups', 'nobody'], 'name the groups, or give --none'],
  [['key', 'add', 'nobody'], 'there is no consumer nobody'],
  [['key', 'revoke', 'xyz'], '8 to 64 hexadecimal digits'],
  [['password', 'set', 'nobody'], 'nothing on stdin'],
  [['consumer', 'list', '-o', 'yaml'], '-o must be text or json'],
])('%j is one line that says why', async (args, says) => {
  const { code, out, err } = await run(args);
  expect({ code, out }).toEqual({ code: 1, out: '' });
  expect(err).toContain(says);
  expect(err.trim().split('\n')).toHaveLength(1);
});

test('a plain password is not taken for a hash', async () => {
  await run(['consumer', 'add', 'ada']);
  const { code, err } = await run(['password', 'set', 'ada', '--hashed'], { input: 'hunter2hunter2' });
  expect(code).toBe(1);
  expect(err).toContain('the password is a plain password');
  expect(err).not.toContain('hunter2');
});

test('which store is asked is always said, and never with its password', async () => {
  const none = await run(['consumer', 'list'], { env: {} });
  expect(none.err).toContain('Give --store, or set TIDEGATE_CREDENTIALS');
  const wrong = await run(['consumer', 'list', '--store', 'mysql://gate:hidden@'], { env: {} });
  expect(wrong.err).toContain('must be sqlite:PATH or mysql://');
  const file = path.join(folder, 'url');
  writeFileSync(file, 'mysql://gate:hidden@127.0.0.1:1/db\n');
  const away = await run(['consumer', 'list'], { env: { TIDEGATE_CREDENTIALS_FILE: file } });
  expect(away.err).toBe('tidegate: mysql://127.0.0.1:1/db: connect ECONNREFUSED 127.0.0.1:1\n');
  for (const { code, err } of [none, wrong, away]) {
    expect(code).toBe(1);
    expect(err).not.toContain('hidden');
  }
});
