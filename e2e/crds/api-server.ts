/** etcd and kube-apiserver alone, on loopback: enough to ask what a real API server takes and refuses. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildPrograms } from '../cluster/build.ts';
import { createAuthority, createSigningKey, issueCertificate, writeKubeconfig } from '../cluster/certificates.ts';
import { type Daemon, type RunResult, run, startDaemon, stopDaemon, until } from '../cluster/process.ts';

export interface ApiServer {
  readonly kubeconfig: string;
  /** Runs kubectl against it; resolves whatever the exit code. */
  kubectl(args: readonly string[], input?: string): Promise<RunResult>;
  stop(): Promise<void>;
}

const START_TIMEOUT_MS = 120_000;

/** Builds the programs first where they are missing, which takes minutes. */
export async function startApiServer(): Promise<ApiServer> {
  const programs = await buildPrograms();
  const path = mkdtempSync(join(tmpdir(), 'tidegate-crds-'));
  const daemons: Daemon[] = [];
  const stop = async () => {
    for (const daemon of [...daemons].reverse()) await stopDaemon(daemon, 5_000);
    rmSync(path, { recursive: true, force: true, maxRetries: 3 });
  };
  try {
    const [clientPort, peerPort, apiPort] = await freePorts(3);
    const etcd = `http://127.0.0.1:${clientPort}`;
    const peer = `http://127.0.0.1:${peerPort}`;
    daemons.push(
      startDaemon(
        'etcd',
        [
          join(programs, 'etcd'),
          `--data-dir=${join(path, 'etcd')}`,
          `--listen-client-urls=${etcd}`,
          `--advertise-client-urls=${etcd}`,
          `--listen-peer-urls=${peer}`,
          `--initial-advertise-peer-urls=${peer}`,
          `--initial-cluster=default=${peer}`,
          '--unsafe-no-fsync',
          '--log-level=warn',
        ],
        join(path, 'etcd.log'),
      ),
    );
    const pki = join(path, 'pki');
    mkdirSync(pki);
    const authority = await createAuthority(pki, 'ca');
    const server = await issueCertificate(pki, authority, {
      name: 'apiserver',
      commonName: 'kube-apiserver',
      alternativeNames: ['IP:127.0.0.1'],
    });
    const admin = await issueCertificate(pki, authority, {
      name: 'admin',
      commonName: 'admin',
      organization: 'system:masters',
    });
    const accounts = createSigningKey(pki, 'service-account');
    const kubeconfig = join(path, 'kubeconfig');
    writeKubeconfig(kubeconfig, `https://127.0.0.1:${apiPort}`, authority.cert, admin);
    const api = startDaemon(
      'kube-apiserver',
      [
        join(programs, 'kube-apiserver'),
        `--etcd-servers=${etcd}`,
        '--bind-address=127.0.0.1',
        `--secure-port=${apiPort}`,
        '--service-cluster-ip-range=10.96.0.0/16',
        '--endpoint-reconciler-type=none',
        '--authorization-mode=RBAC',
        // Nothing here makes service accounts, and no pod is created.
        '--disable-admission-plugins=ServiceAccount',
        `--cert-dir=${join(path, 'certs')}`,
        `--client-ca-file=${authority.cert}`,
        `--tls-cert-file=${server.cert}`,
        `--tls-private-key-file=${server.key}`,
        '--service-account-issuer=https://tidegate.test',
        `--service-account-key-file=${accounts.publicKey}`,
        `--service-account-signing-key-file=${accounts.key}`,
        '--profiling=false',
      ],
      join(path, 'kube-apiserver.log'),
    );
    daemons.push(api);
    const kubectl: ApiServer['kubectl'] = (args, input) =>
      run([join(programs, 'kubectl'), `--kubeconfig=${kubeconfig}`, `--cache-dir=${join(path, 'cache')}`, ...args], {
        allowFailure: true,
        input,
      });
    const ready = until(
      'kube-apiserver ready',
      async () => (await kubectl(['get', '--raw', '/readyz'])).stdout.trim() === 'ok',
      START_TIMEOUT_MS,
    );
    await Promise.race([ready, ...daemons.map((daemon) => daemon.ended)]);
    return { kubeconfig, kubectl, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
