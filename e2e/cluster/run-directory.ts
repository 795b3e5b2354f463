import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isAlive, startTicksOf } from './process.ts';

const directoryPrefix = 'tidegate-cluster-';
const namespacePrefix = 'tidegate-';

/** Where a run keeps its state, and who owns it. */
export interface RunDirectory {
  id: string;
  path: string;
  /** Name of the network namespace that plays the nodes' network; pod namespaces have it as a prefix. */
  networkNamespace: string;
  ownerPid: number;
  /** Start of the owner in clock ticks since boot: tells it from a later process with the same id. */
  ownerStartTicks: string;
  startedAt: string;
}

export function createRunDirectory(): RunDirectory {
  const id = randomBytes(3).toString('hex');
  const path = mkdtempSync(join(tmpdir(), `${directoryPrefix}${id}-`));
  const directory: RunDirectory = {
    id,
    path,
    networkNamespace: `${namespacePrefix}${id}`,
    ownerPid: process.pid,
    ownerStartTicks: startTicksOf(process.pid) ?? '',
    startedAt: new Date().toISOString(),
  };
  for (const part of ['logs', 'pki', 'etcd', 'nodes', 'kubeconfigs']) mkdirSync(join(path, part));
  writeFileSync(join(path, 'run.json'), `${JSON.stringify(directory, null, 2)}\n`);
  return directory;
}

/** All runs whose directories exist on this machine, oldest first. A directory that has no readable run.json is passed over. */
export function listRunDirectories(): RunDirectory[] {
  const found: RunDirectory[] = [];
  for (const name of readdirSync(tmpdir())) {
    if (!name.startsWith(directoryPrefix)) continue;
    try {
      found.push(readRunDirectory(join(tmpdir(), name)));
    } catch {
      // Another run is just writing or removing it.
    }
  }
  return found.sort((a, b) => a.startedAt.localeCompare(b.startedAt));
}

export function readRunDirectory(path: string): RunDirectory {
  return JSON.parse(readFileSync(join(path, 'run.json'), 'utf8')) as RunDirectory;
}

/** True while the process that started the run lives. */
export function hasLivingOwner(directory: RunDirectory): boolean {
  return isAlive(directory.ownerPid, directory.ownerStartTicks);
}

export function removeRunDirectory(directory: RunDirectory): void {
  rmSync(directory.path, { recursive: true, force: true, maxRetries: 3 });
}
