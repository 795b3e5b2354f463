import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { freePorts } from '../bench/ports.ts';
import { acquire, acquireProcess, type Ways } from './acquire.ts';
import type { Component, ProcessComponent } from './component.ts';
import { LocalProgram, programDirectory } from './local-program.ts';
import { find } from './packages.ts';

const image = 'redis:7.4-alpine';

const ways: Ways = {
  name: 'Redis',
  variable: 'TIDEGATE_TEST_REDIS_URL',
  program: () => find('redis-server', 'valkey-server', 'redis-check-rdb'),
  // Not redis-server, which brings a service: redis-check-rdb is the same program under another name.
  debianPackages: ['redis-tools'],
  startContainer,
  startProcess,
};

/** A Redis for tests, empty unless given by URL. Undefined where none can be had (an error on CI). */
export const startRedis = (): Promise<Component | undefined> => acquire(ways);

/** A Redis that the test may stop, kill and pause. It keeps nothing on disk. */
export const startRedisProcess = (): Promise<ProcessComponent | undefined> => acquireProcess(ways);

/** The same, with TLS only, by a certificate for 127.0.0.1; all files PEM. */
export const startRedisWithTls = (tls: RedisTls): Promise<ProcessComponent | undefined> =>
  acquireProcess({ ...ways, startProcess: (command) => startProcess(command, tls) });

export interface RedisTls {
  readonly certFile: string;
  readonly keyFile: string;
  readonly caFile: string;
}

async function startContainer(): Promise<Component> {
  const { GenericContainer } = await import('testcontainers');
  const container = await new GenericContainer(image).withExposedPorts(6379).start();
  return {
    name: 'Redis',
    url: `redis://${container.getHost()}:${container.getMappedPort(6379)}`,
    origin: 'container',
    stop: async () => void (await container.stop()),
  };
}

async function startProcess(command: string, tls?: RedisTls): Promise<ProcessComponent> {
  const [port = 0] = await freePorts(1);
  const directory = programDirectory('redis');
  const named = join(directory, 'redis-server');
  // By this name it decides what it is.
  symlinkSync(command, named);
  const program = new LocalProgram({
    name: 'redis',
    command: named,
    args: ['--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', ...listening(port, tls)],
    directory,
    port,
    // TLS: it answers what is no handshake by closing.
    ...(tls === undefined ? { greet: 'PING\r\n' } : { accepts: true }),
  });
  await program.start();
  return program.asComponent('Redis', `${tls === undefined ? 'redis' : 'rediss'}://127.0.0.1:${port}`);
}

function listening(port: number, tls: RedisTls | undefined): string[] {
  if (tls === undefined) return ['--port', String(port)];
  const files = ['--tls-cert-file', tls.certFile, '--tls-key-file', tls.keyFile, '--tls-ca-cert-file', tls.caFile];
  return ['--port', '0', '--tls-port', String(port), ...files, '--tls-auth-clients', 'no'];
}
