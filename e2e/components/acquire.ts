/** The ways to a real server, in their order: a URL, a container, a program of this machine. */
import { hasDocker } from '../cluster/k3s.ts';
import { type Component, ComponentMissing, type ProcessComponent } from './component.ts';
import { canInstall, install } from './packages.ts';

export interface Ways {
  readonly name: Component['name'];
  /** Environment variable that holds the URL of a server given from outside. */
  readonly variable: string;
  /** Undefined while the program is not installed. */
  readonly program: () => string | undefined;
  readonly debianPackages: readonly string[];
  readonly startContainer: () => Promise<Component>;
  readonly startProcess: (program: string) => Promise<ProcessComponent>;
}

/** Undefined where there is none, with a message on stderr; on CI that is an error instead. */
export async function acquire(ways: Ways): Promise<Component | undefined> {
  const url = process.env[ways.variable] ?? '';
  if (url !== '') return { name: ways.name, url, origin: 'given', stop: async () => {} };
  if (hasDocker()) return await ways.startContainer();
  return await acquireProcess(ways);
}

/** For tests that harm the server: only a program of this machine will do. */
export async function acquireProcess(ways: Ways): Promise<ProcessComponent | undefined> {
  let program = ways.program();
  if (program === undefined && canInstall()) {
    await install(ways.debianPackages);
    program = ways.program();
  }
  if (program !== undefined) return await ways.startProcess(program);
  const missing = new ComponentMissing(
    `${ways.name} is missing: set ${ways.variable} to one for tests (its data is not spared), or start Docker, or install it (Debian, Ubuntu: apt-get install ${ways.debianPackages.join(' ')}); tests that stop and pause it need it installed`,
  );
  if ((process.env.CI ?? '') !== '') throw missing;
  process.stderr.write(`skipped: ${missing.message}\n`);
  return undefined;
}
