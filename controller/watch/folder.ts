/** The YAML files of a folder, and whether one of them has changed. */
import { readdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { MAX_FILE_BYTES } from './file-documents.ts';

/** The folder itself can't be read: nothing can be served from it. */
export class FolderError extends Error {
  readonly code: string;
  readonly retryable = false;

  constructor(folder: string, cause: unknown) {
    const code = codeOf(cause);
    super(`can't read the folder ${folder}: ${code === 'ENOENT' ? 'it does not exist' : code}`, { cause });
    this.name = 'FolderError';
    this.code = code;
  }
}

/** Size, times and inode: equal means untouched. */
export type Fingerprint = string & { readonly fingerprint: never };

/** *.yaml and *.yml at any depth by path, sorted; names that begin with a dot are left out (editors, ConfigMap mounts). Throws FolderError. */
export async function listFiles(folder: string): Promise<Map<string, Fingerprint>> {
  const found = new Map<string, Fingerprint>();
  try {
    await walk(folder, found, 0);
  } catch (error) {
    throw new FolderError(folder, error);
  }
  return new Map([...found].sort(([a], [b]) => (a < b ? -1 : 1)));
}

const MAX_DEPTH = 8;

async function walk(folder: string, found: Map<string, Fingerprint>, depth: number): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (entry.name.startsWith('.') || entry.name === 'node_modules') continue;
    const file = path.join(folder, entry.name);
    if (entry.isDirectory()) {
      if (depth < MAX_DEPTH) await walk(file, found, depth + 1).catch(unlessGone);
    } else if (/\.ya?ml$/.test(entry.name)) {
      const fingerprint = await fingerprintOf(file);
      if (fingerprint !== null) found.set(file, fingerprint);
    }
  }
}

/** Null when there is no such file (any more), or it is no file. */
export async function fingerprintOf(file: string): Promise<Fingerprint | null> {
  try {
    const { size, mtimeNs, ctimeNs, ino, isFile } = await stat(file, { bigint: true }).then((s) => ({
      ...s,
      isFile: s.isFile(),
    }));
    return isFile ? (`${size} ${mtimeNs} ${ctimeNs} ${ino}` as Fingerprint) : null;
  } catch (error) {
    unlessGone(error);
    return null;
  }
}

/** The text of a file, or why there is none, for a person. */
export async function readText(file: string): Promise<{ readonly text: string } | { readonly refused: string }> {
  try {
    const { size } = await stat(file);
    if (size > MAX_FILE_BYTES) return { refused: `is larger than ${MAX_FILE_BYTES / 1024 / 1024} MiB` };
    const bytes = await readFile(file);
    return { text: new TextDecoder('utf-8', { fatal: true }).decode(bytes) };
  } catch (error) {
    if (error instanceof TypeError) return { refused: 'is not UTF-8' };
    return { refused: `can't be read: ${codeOf(error)}` };
  }
}

function unlessGone(error: unknown): void {
  if (!['ENOENT', 'ENOTDIR'].includes(codeOf(error))) throw error;
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? String(error);
}
