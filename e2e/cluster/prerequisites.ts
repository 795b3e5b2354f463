import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { run } from './process.ts';

/** Programs the cluster calls, and the Debian package each comes with. */
const required: readonly { program: string; debianPackage: string }[] = [
  { program: 'ip', debianPackage: 'iproute2' },
  { program: 'nft', debianPackage: 'nftables' },
  { program: 'conntrack', debianPackage: 'conntrack' },
  { program: 'nsenter', debianPackage: 'util-linux' },
  { program: 'setpriv', debianPackage: 'util-linux' },
  { program: 'mount', debianPackage: 'mount' },
  { program: 'sysctl', debianPackage: 'procps' },
  { program: 'hostname', debianPackage: 'hostname' },
  { program: 'openssl', debianPackage: 'openssl' },
  { program: 'curl', debianPackage: 'curl' },
];

const aptTimeoutMs = 300_000;

/** Sees to the programs the cluster needs: installs the missing with apt when root, else says what to install. */
export async function ensurePrograms(log: (line: string) => void): Promise<void> {
  const missing = required.filter(({ program }) => find(program) === undefined);
  if (missing.length === 0) return;
  const packages = [...new Set(missing.map(({ debianPackage }) => debianPackage))];
  const what = missing.map(({ program }) => program).join(', ');
  if (process.getuid?.() !== 0 || find('apt-get') === undefined) {
    throw new Error(
      `the cluster needs ${what}: as root, apt-get install ${packages.join(' ')} (or your system's packages of them)`,
    );
  }
  log(`installing ${packages.join(', ')} (for ${what})`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  await run(['apt-get', 'update', '-qq'], { timeoutMs: aptTimeoutMs, env });
  await run(['apt-get', 'install', '-y', '-qq', '--no-install-recommends', ...packages], {
    timeoutMs: aptTimeoutMs,
    env,
  });
  const still = required.filter(({ program }) => find(program) === undefined);
  if (still.length > 0)
    throw new Error(`apt-get ran, and still missing: ${still.map(({ program }) => program).join(', ')}`);
}

/**
 * The Go command, at least of the minor version `wanted` ("1.26"). An older one (from 1.21) is used too, and fetches the
 * toolchain go.mod asks for by itself, unless GOTOOLCHAIN forbids it.
 */
export async function ensureGo(wanted: string, log: (line: string) => void): Promise<string> {
  let go = findGo();
  if (go === undefined && process.getuid?.() === 0 && find('apt-get') !== undefined) {
    log('installing golang-go (the Go toolchain)');
    await run(['apt-get', 'update', '-qq'], { timeoutMs: aptTimeoutMs });
    await run(['apt-get', 'install', '-y', '-qq', '--no-install-recommends', 'golang-go'], {
      timeoutMs: aptTimeoutMs,
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    });
    go = findGo();
  }
  if (go === undefined)
    throw new Error(
      `the cluster's programs are built with Go ${wanted}: install it (https://go.dev/dl/) and put it on PATH`,
    );
  const text = (await run([go, 'env', 'GOVERSION', 'GOTOOLCHAIN'])).stdout;
  const [version = '', toolchain = ''] = text.trim().split('\n');
  const minor = Number(version.match(/^go1\.(\d+)/)?.[1] ?? 0);
  if (minor >= Number(wanted.split('.')[1])) return go;
  if (minor >= 21 && toolchain !== 'local') return go;
  throw new Error(
    `the cluster's programs need Go ${wanted}, ${go} is ${version}: install a newer one (https://go.dev/dl/)`,
  );
}

function findGo(): string | undefined {
  return find('go') ?? (isExecutable('/usr/local/go/bin/go') ? '/usr/local/go/bin/go' : undefined);
}

function find(program: string): string | undefined {
  // Users' PATHs often lack the sbin folders, where half of these lie.
  const folders = [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/sbin', '/usr/local/sbin'];
  return folders
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, program))
    .find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
