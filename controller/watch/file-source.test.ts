import { existsSync } from 'node:fs';
import { appendFile, mkdir, mkdtemp, open, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ObjectEvent } from '../store/objects.ts';
import { FileSource, type FileSourceOptions } from './file-source.ts';
import { FolderError } from './folder.ts';
import type { FileOrigin, Refusal } from './source.ts';

const route = (name: string, status = 200) =>
  `apiVersion: tidegate.dev/v1alpha1\nkind: Route\nmetadata: { name: ${name} }\nspec:\n  rules:\n    - name: a\n      respond: { status: ${status} }\n`;

let folder: string;
let source: FileSource | null;
let seen: Seen;

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'tidegate-files-'));
  seen = new Seen();
  source = null;
});

afterEach(async () => {
  await source?.stop();
  await rm(folder, { recursive: true, force: true });
});

async function start(options: Partial<FileSourceOptions> = {}): Promise<void> {
  source = new FileSource({ folder, ...options });
  await source.start(seen);
}

const file = (name: string) => path.join(folder, name);
const save = (name: string, text: string) => writeFile(file(name), text);

describe('at the start', () => {
  test('all files come in one batch, then synced; what is refused is said', async () => {
    await save('b.yaml', route('b'));
    await save('a.yml', route('a'));
    await save('broken.yaml', route('c', 42));
    await save('readme.txt', 'not for us');
    await save('.hidden.yaml', route('hidden'));
    await mkdir(file('more'));
    await save('more/d.yaml', route('d'));
    await start();
    expect(seen.log).toEqual(['+ a 1, + b 1, + d 1', 'refused broken.yaml spec.rules[0].respond.status', 'synced']);
  });

  test('an empty folder is a source of nothing', async () => {
    await start();
    expect(seen.log).toEqual(['', 'synced'].filter((line) => line !== ''));
  });

  test('a folder that is not there is an error with its name', async () => {
    source = new FileSource({ folder: file('nowhere') });
    await expect(source.start(seen)).rejects.toThrow(FolderError);
    await expect(new FileSource({ folder: file('nowhere') }).start(seen)).rejects.toThrow(/nowhere: it does not exist/);
    source = null;
  });
});

describe('while it runs', () => {
  test('a saved file arrives, with what changed in it', async () => {
    await save('a.yaml', route('a'));
    await start();
    await save('a.yaml', route('a', 201));
    await seen.until('+ a 2');
    expect(seen.origins.at(-1)).toMatchObject({
      file: 'a.yaml',
      changed: [{ ref: { kind: 'Route', namespace: 'default', name: 'a' }, change: 'changed' }],
    });
  });

  test('a new file, a new folder with one, and a file that goes', async () => {
    await start();
    await save('new.yaml', route('new'));
    await seen.until('+ new 1');
    await mkdir(file('sub'));
    await save('sub/x.yaml', route('x'));
    await seen.until('+ x 1');
    await rm(file('new.yaml'));
    await seen.until('- new');
  });

  test("an editor's atomic rename is one change, and takes nothing away in between", async () => {
    await save('a.yaml', route('a'));
    await start();
    for (let status = 201; status < 206; status++) {
      // As vim does with backupcopy=no: the old one aside, the new one written, the old one removed.
      await rename(file('a.yaml'), file('a.yaml~'));
      await save('a.yaml', route('a', status));
      await rm(file('a.yaml~'));
      await seen.until(`+ a ${status - 199}`);
    }
    expect(seen.log.filter((line) => line.includes('- a'))).toEqual([]);
  });

  test('a file that is emptied before it is written takes nothing away', async () => {
    await save('a.yaml', route('a'));
    await start();
    const handle = await open(file('a.yaml'), 'w');
    // Longer than the settling time: the empty file is seen.
    await new Promise((resolve) => setTimeout(resolve, 40));
    await handle.writeFile(route('a', 201));
    await handle.close();
    await seen.until('+ a 2');
    expect(seen.log.filter((line) => line.includes('- a'))).toEqual([]);
  });

  test('a file that stays empty gives its objects up', async () => {
    await save('a.yaml', route('a'));
    await start();
    await save('a.yaml', '');
    await seen.until('- a');
  });

  test('a file written in pieces arrives when it is whole', async () => {
    await start();
    const text = route('a');
    for (let at = 0; at < text.length; at += 10) await appendFile(file('a.yaml'), text.slice(at, at + 10));
    await seen.until('+ a 1');
  });

  test('a mistake keeps the version before, and its correction is taken', async () => {
    await save('a.yaml', route('a'));
    await start();
    await save('a.yaml', route('a', 42));
    await seen.until('refused a.yaml spec.rules[0].respond.status');
    await save('a.yaml', route('a', 202));
    await seen.until('+ a 2');
    expect(seen.log.filter((line) => line.startsWith('-'))).toEqual([]);
  });

  test('a file under a new name is the same objects', async () => {
    await save('old.yaml', route('a'));
    await start();
    await rename(file('old.yaml'), file('new.yaml'));
    await save('new.yaml', route('a', 201));
    await seen.until('+ a 2');
    expect(seen.log.slice(2)).toEqual(['+ a 2']);
  });

  test('a mounted ConfigMap: the link that is swapped is followed', async () => {
    await mkdir(file('..1'));
    await save('..1/a.yaml', route('a'));
    await symlink('..1', file('..data'));
    await symlink('..data/a.yaml', file('a.yaml'));
    await start({ pollMs: 50 });
    expect(seen.log[0]).toBe('+ a 1');
    await mkdir(file('..2'));
    await save('..2/a.yaml', route('a', 201));
    await symlink('..2', file('..tmp'));
    await rename(file('..tmp'), file('..data'));
    await seen.until('+ a 2');
  });

  test('without a word from the file system, looking at it does', async () => {
    await save('a.yaml', route('a'));
    await start({ pollMs: 20, settleMs: 3_600_000 });
    await save('a.yaml', route('a', 201));
    await seen.until('+ a 2');
  });

  test('after stop nothing arrives', async () => {
    await save('a.yaml', route('a'));
    await start({ pollMs: 10 });
    await source?.stop();
    const before = seen.log.length;
    await save('a.yaml', route('a', 201));
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect(seen.log).toHaveLength(before);
    expect(existsSync(folder)).toBe(true);
  });
});

class Seen {
  readonly log: string[] = [];
  readonly origins: (FileOrigin | undefined)[] = [];
  #wake: (() => void)[] = [];

  apply(events: readonly ObjectEvent[], origin?: FileOrigin): void {
    this.origins.push(origin);
    this.#say(
      events
        .map((event) => {
          if (event.type === 'replace') return 'replace';
          return event.type === 'delete'
            ? `- ${event.ref.name}`
            : `+ ${event.object.metadata.name} ${event.object.metadata.generation}`;
        })
        .join(', '),
    );
  }

  synced(): void {
    this.#say('synced');
  }

  refused({ file, problems }: Refusal): void {
    this.#say(`refused ${file} ${problems[0]?.path}`);
  }

  /** Waits for a line; the time-out is the test's own. */
  async until(line: string): Promise<void> {
    while (!this.log.includes(line)) await new Promise<void>((resolve) => this.#wake.push(resolve));
  }

  #say(line: string): void {
    if (line !== '') this.log.push(line);
    for (const wake of this.#wake.splice(0)) wake();
  }
}
