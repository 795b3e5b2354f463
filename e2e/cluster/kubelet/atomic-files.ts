import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';

export interface VolumeFile {
  content: Buffer;
  mode: number;
}

/**
 * Replaces the files of a volume all at once, in the layout Kubernetes uses: a folder `..TIMESTAMP` with the content,
 * `..data` a symbolic link to it that is renamed into place, and a link at the top for each first part of a path.
 */
export function writeAtomically(directory: string, files: ReadonlyMap<string, VolumeFile>): void {
  const stamp = `..${new Date().toISOString().replace(/[^0-9]/g, '_')}${process.hrtime.bigint() % 1_000_000n}`;
  const fresh = join(directory, stamp);
  mkdirSync(fresh, { recursive: true, mode: 0o755 });
  for (const [path, { content, mode }] of files) {
    const target = join(fresh, path);
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, content);
    chmodSync(target, mode);
  }
  const data = join(directory, '..data');
  const before = currentTarget(data);
  symlinkSync(stamp, join(directory, '..data_tmp'));
  renameSync(join(directory, '..data_tmp'), data);

  const wanted = new Set([...files.keys()].map((path) => path.split('/')[0] ?? path));
  const present = new Set(readdirSync(directory).filter((name) => !name.startsWith('..')));
  for (const name of wanted) if (!present.has(name)) symlinkSync(join('..data', name), join(directory, name));
  for (const name of present) if (!wanted.has(name)) rmSync(join(directory, name), { force: true });
  if (before !== undefined && before !== stamp) rmSync(join(directory, before), { recursive: true, force: true });
}

function currentTarget(link: string): string | undefined {
  try {
    return lstatSync(link).isSymbolicLink() ? readlinkSync(link) : undefined;
  } catch {
    return undefined;
  }
}
