/** Finds a server's program; where we are root on Debian or Ubuntu, and it is missing, installs it. */
import { execFile } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const updateTimeoutMs = 300_000;
const installTimeoutMs = 600_000;

/** Looks through PATH and the folders of system programs, which a plain user's PATH lacks. */
export function find(...names: readonly string[]): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/local/sbin', '/usr/sbin', '/sbin'];
  for (const name of names) {
    const path = folders.map((folder) => join(folder, name)).find(isExecutable);
    if (path !== undefined) return path;
  }
  return undefined;
}

/** True where `install` may be tried. */
export function canInstall(): boolean {
  return process.getuid?.() === 0 && find('apt-get') !== undefined;
}

/** Throws with apt's own words when it fails. */
export async function install(debianPackages: readonly string[]): Promise<void> {
  process.stdout.write(`installing ${debianPackages.join(' ')} by apt-get …\n`);
  // Should a package bring a service, RUNLEVEL=1 keeps it from being started.
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
  const wait = ['-o', 'DPkg::Lock::Timeout=120'];
  await run('apt-get', ['update', '-qq', ...wait], { timeout: updateTimeoutMs });
  const command = ['install', '-y', '-qq', '--no-install-recommends', ...wait, ...debianPackages];
  await run('apt-get', command, { env, timeout: installTimeoutMs, maxBuffer: 16 * 1024 * 1024 });
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
