import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ensureGo } from './prerequisites.ts';
import { run } from './process.ts';
import { binDirectory, type Program, programs, readVersions, type Versions } from './versions.ts';

/** Longest a single program may take; kube-apiserver is the first and compiles most packages. */
const buildTimeoutMs = 40 * 60_000;

/**
 * Builds what the cluster runs, as far as it is not built yet, and returns the folder with the programs.
 * Costs milliseconds when all are there. Interrupted builds are taken up by Go's own cache.
 */
export async function buildPrograms(log: (line: string) => void = console.log): Promise<string> {
  const directory = binDirectory();
  const missing = programs.filter((program) => !existsSync(join(directory, program.name)));
  if (missing.length === 0) return directory;
  mkdirSync(directory, { recursive: true });
  const versions = readVersions();
  const go = await ensureGo('1.26', log);
  log(
    `building ${missing.length} programs of the cluster (Kubernetes ${versions.kubernetes}, ${availableParallelism()} cores): ` +
      'about 8 minutes on 2 cores, once',
  );
  const begin = Date.now();
  for (const [index, program] of missing.entries()) {
    const started = Date.now();
    const note = `[${index + 1}/${missing.length}] ${program.name}`;
    log(`${note} …`);
    const ticking = setInterval(() => log(`${note} … ${seconds(started)} s`), 30_000);
    try {
      await buildProgram(go, program, versions, directory);
    } finally {
      clearInterval(ticking);
    }
    log(`${note} built in ${seconds(started)} s (${seconds(begin)} s in all)`);
  }
  writeFileSync(join(directory, 'versions.json'), `${JSON.stringify(versions, null, 2)}\n`);
  return directory;
}

async function buildProgram(go: string, program: Program, versions: Versions, directory: string): Promise<void> {
  // Another test run may build the same: each writes its own file, and the last rename wins.
  const temporary = join(directory, `.${program.name}.${process.pid}`);
  try {
    await run(
      [
        'nice',
        '-n',
        '10',
        go,
        'build',
        '-trimpath',
        '-buildvcs=false',
        '-ldflags',
        linkerFlags(program, versions),
        '-o',
        temporary,
        program.package,
      ],
      {
        cwd: join(import.meta.dirname, program.module),
        env: { ...process.env, CGO_ENABLED: '0', GOWORK: 'off', GOFLAGS: '-mod=readonly' },
        timeoutMs: buildTimeoutMs,
      },
    );
    renameSync(temporary, join(directory, program.name));
  } finally {
    rmSync(temporary, { force: true });
  }
}

function linkerFlags(program: Program, versions: Versions): string {
  const set = (variable: string, value: string) => `-X ${variable}=${value}`;
  if (program.package.startsWith('k8s.io/kubernetes/')) {
    const [major = '', minor = ''] = versions.kubernetes.slice(1).split('.');
    // Without these the server calls itself v0.0.0 and a chart's kubeVersion check fails.
    const variables = { gitVersion: versions.kubernetes, gitMajor: major, gitMinor: minor, gitTreeState: 'clean' };
    return [
      '-s',
      '-w',
      ...Object.entries(variables).map(([name, value]) => set(`k8s.io/component-base/version.${name}`, value)),
    ].join(' ');
  }
  if (program.name === 'helm') return `-s -w ${set('helm.sh/helm/v3/internal/version.version', versions.helm)}`;
  return '-s -w';
}

function seconds(since: number): number {
  return Math.round((Date.now() - since) / 1_000);
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { help: { type: 'boolean', short: 'h' }, print: { type: 'boolean' } } });
  if (values.help === true) {
    console.log(
      'usage: node e2e/cluster/build.ts [--print]\n\nBuilds the programs the test cluster runs into ~/.cache/tidegate/bin.\n' +
        '  --print   only print the folder of the programs',
    );
  } else if (values.print === true) {
    console.log(binDirectory());
  } else {
    console.log(await buildPrograms());
  }
}
