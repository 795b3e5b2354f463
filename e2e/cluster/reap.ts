import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { listNamespaces, removeNetworks } from './network.ts';
import { isAlive, until } from './process.ts';
import { hasLivingOwner, listRunDirectories, type RunDirectory, removeRunDirectory } from './run-directory.ts';

/** Longest a running cluster is given to stop by itself, milliseconds. */
const stopTimeoutMs = 20_000;

/** Removes what runs left whose owner is gone: processes, network namespaces, folders. Runs whose owner lives are left alone. */
export async function reapRuns(log: (line: string) => void): Promise<number> {
  let count = 0;
  for (const directory of listRunDirectories()) {
    if (hasLivingOwner(directory)) continue;
    // A failed start keeps its logs; they go with the next day's.
    const keepsLogs =
      listNamespaces(directory.networkNamespace).length === 0 &&
      Date.now() - Date.parse(directory.startedAt) < 86_400_000;
    if (keepsLogs) {
      rmSync(join(directory.path, 'etcd'), { recursive: true, force: true });
      continue;
    }
    log(`cleaning up after the interrupted run ${directory.id}`);
    await reap(directory);
    count += 1;
  }
  return count;
}

/** Stops a run whoever owns it: asks the owner first, and cleans up behind one that does not answer. */
export async function stopRun(directory: RunDirectory, log: (line: string) => void): Promise<void> {
  if (hasLivingOwner(directory) && directory.ownerPid !== process.pid) {
    log(`asking process ${directory.ownerPid} to stop run ${directory.id}`);
    process.kill(directory.ownerPid, 'SIGTERM');
    await until('the owner stops', () => !isAlive(directory.ownerPid, directory.ownerStartTicks), stopTimeoutMs).catch(
      () => log(`process ${directory.ownerPid} did not stop in ${stopTimeoutMs / 1_000} s: cleaning up beside it`),
    );
  }
  await reap(directory);
}

async function reap(directory: RunDirectory): Promise<void> {
  await removeNetworks(directory.networkNamespace);
  removeRunDirectory(directory);
}
