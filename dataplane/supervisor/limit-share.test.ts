import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { createLimitMemory } from '../limit/memory.ts';
import { silentLog } from '../log.ts';
import { LastShare } from '../sync/last-share.ts';
import { LimitShare } from './limit-share.ts';

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function start(folder: string): { share: LimitShare; last: LastShare } {
  const last = new LastShare(folder, silentLog);
  return { share: new LimitShare(createLimitMemory({ keys: 16, workers: 1 }).share, last, silentLog), last };
}

function folder(): string {
  const made = mkdtempSync(path.join(tmpdir(), 'share-'));
  folders.push(made);
  return made;
}

test('who was never told has the whole, and says so in no hello', async () => {
  const { share } = start(folder());
  expect(share.share).toEqual({ place: 0, of: 1 });
  expect(share.told).toBeNull();
  await share.restore();
  expect(share.share).toEqual({ place: 0, of: 1 });
});

test('what a controller said holds over a restart without one', async () => {
  const at = folder();
  const first = start(at);
  first.share.take({ place: 1, dataPlanes: 3 });
  expect(first.share.share).toEqual({ place: 1, of: 3 });
  expect(first.share.told).toEqual({ place: 1, dataPlanes: 3 });
  await first.last.save({ place: 1, of: 3 });

  const second = start(at);
  await second.share.restore();
  expect(second.share.share).toEqual({ place: 1, of: 3 });
  expect(second.share.told).toEqual({ place: 1, dataPlanes: 3 });
});

test('what a controller says in this run wins over what lies on disk', async () => {
  const at = folder();
  writeFileSync(path.join(at, 'share.json'), '{"place":0,"of":9}');
  const { share } = start(at);
  share.take({ place: 1, dataPlanes: 2 });
  await share.restore();
  expect(share.share).toEqual({ place: 1, of: 2 });
});

test.each([
  [{ place: 0, dataPlanes: 0 }],
  [{ place: 3, dataPlanes: 3 }],
  [{ place: 0, dataPlanes: 40_000 }],
  [{ place: 0.5, dataPlanes: 2 }],
])('%j is no share: the one before holds on', (wrong) => {
  const { share } = start(folder());
  share.take({ place: 1, dataPlanes: 2 });
  share.take(wrong);
  expect(share.share).toEqual({ place: 1, of: 2 });
});

test.each(['', 'no json', '{"place":5,"of":2}', '[]', 'null'])('a file that holds %j is not used', async (text) => {
  const at = folder();
  writeFileSync(path.join(at, 'share.json'), text);
  const { share, last } = start(at);
  await share.restore();
  expect(share.share).toEqual({ place: 0, of: 1 });
  await last.save({ place: 1, of: 2 });
  expect(JSON.parse(readFileSync(last.file, 'utf8'))).toEqual({ place: 1, of: 2 });
});

test('a folder that can not be written stops nobody', async () => {
  const at = folder();
  writeFileSync(path.join(at, 'file'), '');
  const last = new LastShare(path.join(at, 'file'), silentLog);
  await expect(last.save({ place: 0, of: 2 })).resolves.toBeUndefined();
});
