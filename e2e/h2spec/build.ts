/** Builds h2spec, the conformance test of HTTP/2, from its Go module. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { ensureGo } from '../cluster/prerequisites.ts';
import { run } from '../cluster/process.ts';

const here = import.meta.dirname;

/** Path of the program; built where it is not there yet (half a minute). */
export async function buildH2spec(log: (line: string) => void = console.log): Promise<string> {
  const hash = createHash('sha256');
  for (const file of ['go.mod', 'go.sum']) hash.update(readFileSync(join(here, file)));
  const folder = join(homedir(), '.cache', 'tidegate', 'bin');
  const program = join(folder, `h2spec-${hash.digest('hex').slice(0, 8)}`);
  if (existsSync(program)) return program;
  mkdirSync(folder, { recursive: true });
  const go = await ensureGo('1.26', log);
  log('building h2spec: half a minute, once');
  // Another test run may build the same: each writes its own file, and the last rename wins.
  const temporary = `${program}.${process.pid}`;
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
        '-o',
        temporary,
        'github.com/summerwind/h2spec/cmd/h2spec',
      ],
      {
        cwd: here,
        env: { ...process.env, CGO_ENABLED: '0', GOWORK: 'off', GOFLAGS: '-mod=readonly' },
        timeoutMs: 10 * 60_000,
      },
    );
    renameSync(temporary, program);
  } finally {
    rmSync(temporary, { force: true });
  }
  return program;
}
