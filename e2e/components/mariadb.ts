import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { freePorts } from '../bench/ports.ts';
import { acquire, acquireProcess, type Ways } from './acquire.ts';
import type { Component, ProcessComponent } from './component.ts';
import { LocalProgram, programDirectory } from './local-program.ts';
import { find } from './packages.ts';

const image = 'mariadb:10.11';
const database = 'tidegate';
const user = 'tidegate';

const ways: Ways = {
  name: 'MariaDB',
  variable: 'TIDEGATE_TEST_MYSQL_URL',
  program: () => (needed.every((name) => find(name) !== undefined) ? find('mariadbd') : undefined),
  // Not mariadb-server, which brings a service and a data folder. The installer runs a program of the clients' package.
  debianPackages: ['mariadb-server-core', 'mariadb-client-core'],
  startContainer,
  startProcess,
};

/** A MariaDB with an empty database for tests, unless given by URL. Undefined where none can be had (an error on CI). */
export const startMariaDb = (): Promise<Component | undefined> => acquire(ways);

/** A MariaDB that the test may stop, kill and pause; what was written stays over `restart`. */
export const startMariaDbProcess = (): Promise<ProcessComponent | undefined> => acquireProcess(ways);

const installer = 'mariadb-install-db';
const needed = [installer, 'my_print_defaults'];

async function startContainer(): Promise<Component> {
  const { GenericContainer, Wait } = await import('testcontainers');
  const password = randomBytes(12).toString('hex');
  const container = await new GenericContainer(image)
    .withEnvironment({
      MARIADB_DATABASE: database,
      MARIADB_USER: user,
      MARIADB_PASSWORD: password,
      MARIADB_RANDOM_ROOT_PASSWORD: '1',
    })
    .withExposedPorts(3306)
    // Its entry point starts a first server, on no port, to set it up.
    .withWaitStrategy(Wait.forLogMessage(/ready for connections.*/, 2))
    .start();
  return {
    name: 'MariaDB',
    url: `mysql://${user}:${password}@${container.getHost()}:${container.getMappedPort(3306)}/${database}`,
    origin: 'container',
    stop: async () => void (await container.stop()),
  };
}

async function startProcess(command: string): Promise<ProcessComponent> {
  const [port = 0] = await freePorts(1);
  const directory = programDirectory('mariadb');
  const data = join(directory, 'data');
  const password = randomBytes(12).toString('hex');
  // It refuses to run as root unless told so.
  const asRoot = process.getuid?.() === 0 ? ['--user=root'] : [];
  const own = ['--no-defaults', ...asRoot, `--datadir=${data}`];
  const prepare = [...own, '--auth-root-authentication-method=socket', '--skip-test-db', '--skip-name-resolve'];
  await promisify(execFile)(find(installer) ?? installer, prepare, { timeout: 120_000, cwd: directory });

  const setUp = join(directory, 'set-up.sql');
  writeFileSync(setUp, setUpSql(password), { mode: 0o600 });
  const program = new LocalProgram({
    name: 'mariadb',
    command,
    args: [
      ...own,
      '--bind-address=127.0.0.1',
      `--port=${port}`,
      `--socket=${join(directory, 'sock')}`,
      `--pid-file=${join(directory, 'pid')}`,
      `--init-file=${setUp}`,
      '--skip-name-resolve',
      '--innodb-buffer-pool-size=16M',
      '--innodb-log-file-size=8M',
      '--performance-schema=off',
    ],
    directory,
    port,
  });
  await program.start();
  return program.asComponent('MariaDB', `mysql://${user}:${password}@127.0.0.1:${port}/${database}`);
}

/** Run at every start, before the port is served. One statement a line. */
function setUpSql(password: string): string {
  return [
    `CREATE DATABASE IF NOT EXISTS ${database};`,
    `CREATE USER IF NOT EXISTS '${user}'@'127.0.0.1' IDENTIFIED BY '${password}';`,
    `GRANT ALL ON *.* TO '${user}'@'127.0.0.1';`,
    '',
  ].join('\n');
}
