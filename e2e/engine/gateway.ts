/** The two compiled programs, one worker, before an HTTP/1.1 and a gRPC backend at ports of this machine. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startController, startDataPlane, throwIfRefused } from '../bench/peers/tidegate.ts';
import { freePorts } from '../bench/ports.ts';
import { Programs, untilReady } from '../bench/programs.ts';

export interface RunningGateway {
  readonly http: number;
  readonly h2c: number;
  /** Only with a certificate. */
  readonly https: number;
  /** Of the data plane. */
  readonly pid: number;
  residentMiB(): number;
  stop(): Promise<void>;
}

export interface GatewayOptions {
  /** PEM; HTTPS as well, where given. */
  readonly certificate?: { readonly chain: string; readonly key: string };
  /** 1 when absent. */
  readonly workers?: number;
  /** Of the configuration, beside what is there anyway. */
  readonly objects?: readonly object[];
  /** Of the data plane. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Everything to the first backend, calls of `test.v1.Echo` to the second. */
export async function startGateway(
  backend: number,
  calls: number,
  { certificate, workers = 1, objects: more = [], env = {} }: GatewayOptions = {},
): Promise<RunningGateway> {
  const programs = new Programs();
  const dir = mkdtempSync(join(tmpdir(), 'tidegate-engine-'));
  const files = join(dir, 'config');
  mkdirSync(files);
  const objects = [
    kind('Backend', 'plain', { hosts: [{ address: '127.0.0.1', port: backend }] }),
    kind('Backend', 'calls', { hosts: [{ address: '127.0.0.1', port: calls }], protocol: 'grpc' }),
    ...(certificate === undefined ? [] : [secret('all', certificate)]),
    kind('Route', 'all', {
      ...(certificate === undefined ? {} : { tls: { secret: 'all' } }),
      rules: [
        { name: 'calls', matches: [{ grpc: { service: 'test.v1.Echo' } }], backends: [{ name: 'calls' }] },
        { name: 'plain', backends: [{ name: 'plain' }] },
      ],
    }),
    ...more,
  ];
  writeFileSync(join(files, 'gateway.yaml'), objects.map((object) => JSON.stringify(object)).join('\n---\n'));
  const [http = 0, h2c = 0, https = 0] = await freePorts(3);
  await startController({ programs, dir, files });
  throwIfRefused(dir);
  const { program, readyUrl } = await startDataPlane({
    ...{ programs, dir, port: http, workers, accessLog: 'off' },
    env: {
      TIDEGATE_H2C_PORT: String(h2c),
      ...(certificate === undefined ? {} : { TIDEGATE_HTTPS_PORT: String(https) }),
      ...env,
    },
  });
  await untilReady(program, async () => (await fetch(readyUrl).catch(() => null))?.ok === true);
  return {
    http,
    h2c,
    https,
    pid: program.pid,
    residentMiB: () => {
      const [, kib] = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${program.pid}/status`, 'latin1')) ?? [];
      return Number(kib) / 1024;
    },
    stop: async () => {
      await programs.stopAll();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

function secret(name: string, { chain, key }: { chain: string; key: string }): object {
  const base64 = (text: string): string => Buffer.from(text).toString('base64');
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    type: 'kubernetes.io/tls',
    metadata: { name, namespace: 'test' },
    data: { 'tls.crt': base64(chain), 'tls.key': base64(key) },
  };
}

export function kind(name: string, metadataName: string, spec: object): object {
  return { apiVersion: 'tidegate.dev/v1alpha1', kind: name, metadata: { name: metadataName, namespace: 'test' }, spec };
}
