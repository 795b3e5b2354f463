import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { forwardingLog } from '../log.ts';
import { ruleFixture } from '../snapshot/fixtures.ts';
import type { HeldImage } from './held.ts';
import { LastGood } from './last-good.ts';
import { TestSnapshot } from './test-controller.ts';

const SNAPSHOT = new TestSnapshot([ruleFixture('s/ä/r'), ruleFixture('s/b/r')]);
const OLD = new TestSnapshot([ruleFixture('s/b/r', { hosts: ['old'] })]);
const IMAGE: HeldImage = {
  revision: SNAPSHOT.revision,
  resources: [...SNAPSHOT.resources.values()],
  fallback: [...OLD.resources.values()],
};
let folder = '';
let logged: string[] = [];
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'dp-'));
  logged = [];
});
afterEach(() => rmSync(folder, { recursive: true }));

function lastGood(gateway = 'tidegate', inFolder = path.join(folder, 'state')): LastGood {
  const log = forwardingLog((_, fields, message) => logged.push(`${message}: ${fields.error}`));
  return new LastGood({ folder: inFolder, gateway, log, now: () => 1_700_000_000_000, debounceMs: 1 });
}
async function saved(): Promise<LastGood> {
  const writer = lastGood();
  writer.schedule(() => IMAGE);
  await writer.flush();
  return writer;
}

test('what is written is read back, byte for byte', async () => {
  await saved();
  const loaded = await lastGood().load();
  expect(loaded?.image).toEqual(IMAGE);
  expect(loaded?.savedAtMs).toBe(1_700_000_000_000);
  expect(logged).toEqual([]);
});

test('only the owner can read it, and no temporary file is left', async () => {
  const { file } = await saved();
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(statSync(path.dirname(file)).mode & 0o777).toBe(0o700);
  expect(readdirSync(path.dirname(file))).toEqual([path.basename(file)]);
});

test('more resources than are written at once', async () => {
  const snapshot = new TestSnapshot(Array.from({ length: 1203 }, (_, i) => ruleFixture(`s/r${i}/m`)));
  const image = { revision: snapshot.revision, resources: [...snapshot.resources.values()], fallback: [] };
  const writer = lastGood();
  writer.schedule(() => image);
  await writer.flush();
  expect((await lastGood().load())?.image).toEqual(image);
});

test('none there: nothing, and nothing logged', async () => {
  expect(await lastGood().load()).toBeNull();
  expect(logged).toEqual([]);
});

test('only the last of several changes is written', async () => {
  const writer = lastGood();
  let asked = 0;
  for (let i = 0; i < 5; i++) {
    writer.schedule(() => {
      asked++;
      return IMAGE;
    });
  }
  await writer.flush();
  await writer.flush();
  expect(asked).toBe(1);
});

test('any single changed byte makes the file unusable', async () => {
  const { file } = await saved();
  const good = readFileSync(file);
  for (const at of [0, 5, 40, good.indexOf('\n') + 3, good.length - 2]) {
    const bad = Buffer.from(good);
    bad.writeUInt8(bad.readUInt8(at) ^ 1 || 0x41, at);
    writeFileSync(file, bad);
    expect(await lastGood().load()).toBeNull();
  }
  expect(logged).toHaveLength(5);
});

/** The file with one part replaced, and a checksum that fits. */
function resealed(good: Buffer, from: string | RegExp, to: string): string {
  const body = good.toString().replace(from, to).split('\n').slice(0, -2).join('\n');
  return `${body}\n{"sha256":"${createHash('sha256').update(`${body}\n`).digest('hex')}"}\n`;
}

test.each<[string, (good: Buffer) => Buffer | string, string]>([
  ['empty', () => '', 'header'],
  ['cut within a line', (good) => good.subarray(0, good.length - 20), 'it is cut'],
  ['cut between lines', (good) => good.subarray(0, good.lastIndexOf('\n', good.length - 2) + 1), 'it is cut'],
  ['another version', (good) => resealed(good, 'last-good/1', 'last-good/9'), 'header'],
  ['another schema', (good) => resealed(good, /"schemaVersion":\d+/, '"schemaVersion":99'), 'schema version 99'],
  [
    'another revision',
    (good) => resealed(good, /"revision":"\w+"/, '"revision":"0123"'),
    'do not make up its revision',
  ],
  ['another body', (good) => resealed(good, '1700000000000,\\"h', '1700000000001,\\"h'), 'does not match its hash'],
])('%s: not used, the log says why', async (_, change, why) => {
  const { file } = await saved();
  const good = readFileSync(file);
  const bad = change(good);
  expect(bad.toString()).not.toBe(good.toString());
  writeFileSync(file, bad);
  expect(await lastGood().load()).toBeNull();
  expect(logged[0]).toContain(why);
});

test("another gateway's is not used", async () => {
  await saved();
  expect(await lastGood('other').load()).toBeNull();
  expect(logged[0]).toContain('belongs to gateway tidegate');
});

test('a folder that can not be written is logged and counted, not thrown', async () => {
  writeFileSync(path.join(folder, 'file'), '');
  const writer = lastGood('tidegate', path.join(folder, 'file', 'state'));
  writer.schedule(() => IMAGE);
  await writer.flush();
  expect(writer.failures).toBe(1);
  expect(logged[0]).toContain('was not kept');
});

test('a file that can not be opened is logged', async () => {
  const { file } = await saved();
  rmSync(file);
  // A folder in its place, which root can't read as a file either.
  mkdirSync(file);
  expect(await lastGood().load()).toBeNull();
  expect(logged).toHaveLength(1);
});

test('confirm moves the time a controller last stood behind it', async () => {
  const writer = await saved();
  await writer.confirm();
  expect((await lastGood().load())?.confirmedAtMs).toBe(1_700_000_000_000);
});
