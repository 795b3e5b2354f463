/** etcd and kube-apiserver alone, on loopback: enough to test a controller against, started in a few seconds, without root. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { buildPrograms } from '../cluster/build.ts';
import { writeKubeconfig } from '../cluster/certificates.ts';
import { apiServerArguments, createIdentities, etcdArguments, type Identities } from '../cluster/components.ts';
import { type Daemon, run, startDaemon, stopDaemon, until } from '../cluster/process.ts';

const CRDS = path.resolve(import.meta.dirname, '../../crds');

export class ControlPlane {
  readonly folder: string;
  readonly server: string;
  readonly kubeconfig: string;
  /** The same through a relay that `cutOff` cuts. */
  readonly relayedKubeconfig: string;
  readonly identities: Identities;
  readonly #bin: string;
  readonly #daemons: Daemon[] = [];
  #relay: Relay | null = null;
  #etcd = '';
  #apiArguments: readonly string[] = [];

  private constructor(folder: string, server: string, identities: Identities, bin: string) {
    this.folder = folder;
    this.server = server;
    this.identities = identities;
    this.#bin = bin;
    this.kubeconfig = path.join(folder, 'kubeconfig');
    this.relayedKubeconfig = path.join(folder, 'kubeconfig-relayed');
  }

  static async start(): Promise<ControlPlane> {
    const bin = await buildPrograms();
    const folder = mkdtempSync(path.join(tmpdir(), 'tidegate-control-plane-'));
    for (const sub of ['pki', 'kubeconfigs', 'logs']) mkdirSync(path.join(folder, sub));
    const [etcdPort, peerPort, apiPort] = await freePorts(3);
    const identities = await createIdentities(folder, []);
    const plane = new ControlPlane(folder, `https://127.0.0.1:${apiPort}`, identities, bin);
    const admin = { cert: path.join(folder, 'pki/admin.crt'), key: path.join(folder, 'pki/admin.key') };
    writeKubeconfig(plane.kubeconfig, plane.server, identities.authority.cert, admin);
    plane.#relay = new Relay(apiPort ?? 0);
    const relayed = `https://127.0.0.1:${await plane.#relay.listen()}`;
    writeKubeconfig(plane.relayedKubeconfig, relayed, identities.authority.cert, admin);
    const client = `http://127.0.0.1:${etcdPort}`;
    const peer = `http://127.0.0.1:${peerPort}`;
    plane.#daemon('etcd', [
      ...etcdArguments(folder),
      `--listen-client-urls=${client}`,
      `--advertise-client-urls=${client}`,
      `--listen-peer-urls=${peer}`,
      `--initial-advertise-peer-urls=${peer}`,
      `--initial-cluster=default=${peer}`,
    ]);
    plane.#etcd = client;
    plane.#apiArguments = [
      ...apiServerArguments(identities),
      `--etcd-servers=${client}`,
      '--bind-address=127.0.0.1',
      '--advertise-address=127.0.0.1',
      `--secure-port=${apiPort}`,
      // Nobody looks for this API server from inside a cluster, and its address is no valid endpoint.
      '--endpoint-reconciler-type=none',
    ];
    plane.#daemon('kube-apiserver', plane.#apiArguments);
    try {
      await plane.#ready();
      await plane.kubectl(['apply', '-f', CRDS]);
      await plane.kubectl(['wait', '--for=condition=Established', 'crd', '--all', '--timeout=30s']);
    } catch (error) {
      await plane.stop();
      throw error;
    }
    return plane;
  }

  async kubectl(args: readonly string[], input?: string): Promise<string> {
    const { stdout } = await run(
      [path.join(this.#bin, 'kubectl'), '--kubeconfig', this.kubeconfig, ...args],
      input === undefined ? {} : { input },
    );
    return stdout;
  }

  async apply(...objects: readonly object[]): Promise<void> {
    const list = { apiVersion: 'v1', kind: 'List', items: objects };
    await this.kubectl(['apply', '-f', '-'], JSON.stringify(list));
  }

  async get<T>(...args: readonly string[]): Promise<T> {
    return JSON.parse(await this.kubectl(['get', ...args, '-o', 'json'])) as T;
  }

  /** Whoever uses the relayed kubeconfig has no API server while `work` runs. */
  async cutOff(work: () => Promise<void>): Promise<void> {
    this.#relay?.cut();
    try {
      await work();
    } finally {
      this.#relay?.mend();
    }
  }

  /** Forgets the history of all objects and starts the API server anew: whoever watched from before has to list. */
  async compactAndRestart(): Promise<void> {
    const call = async <T>(method: string, body: object): Promise<T> => {
      const answer = await fetch(`${this.#etcd}/v3/kv/${method}`, { method: 'POST', body: JSON.stringify(body) });
      if (!answer.ok) throw new Error(`etcd: ${await answer.text()}`);
      return (await answer.json()) as T;
    };
    const { header } = await call<{ header: { revision: string } }>('range', { key: 'AA==' });
    await call('compaction', { revision: header.revision, physical: true });
    const api = this.#daemons.pop();
    if (api !== undefined) await stopDaemon(api, 20_000);
    this.#daemon('kube-apiserver', this.#apiArguments);
    await this.#ready();
  }

  /** Stops the API server's process while `work` runs, and lets it go on. */
  async pauseApiServer(work: () => Promise<void>): Promise<void> {
    const api = this.#daemons.at(-1);
    api?.child.kill('SIGSTOP');
    try {
      await work();
    } finally {
      api?.child.kill('SIGCONT');
    }
  }

  async stop(): Promise<void> {
    this.#relay?.close();
    for (const daemon of this.#daemons.reverse()) await stopDaemon(daemon, 5_000);
    rmSync(this.folder, { recursive: true, force: true });
  }

  #ready(): Promise<void> {
    return until(
      'the API server is ready',
      async () => (await this.kubectl(['get', '--raw', '/readyz'])) === 'ok',
      60_000,
    );
  }

  #daemon(name: string, args: readonly string[]): void {
    const log = path.join(this.folder, 'logs', `${name}.log`);
    this.#daemons.push(startDaemon(name, [path.join(this.#bin, name), ...args], log));
  }
}

/** Copies bytes between a port of its own and the API server's. */
class Relay {
  readonly #target: number;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #cut = false;

  constructor(target: number) {
    this.#target = target;
    this.#server = createServer((socket) => this.#accept(socket));
  }

  async listen(): Promise<number> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  cut(): void {
    this.#cut = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  mend(): void {
    this.#cut = false;
  }

  close(): void {
    this.cut();
    this.#server.close();
  }

  #accept(socket: Socket): void {
    if (this.#cut) {
      socket.destroy();
      return;
    }
    const onward = connect(this.#target, '127.0.0.1');
    for (const [end, other] of [
      [socket, onward],
      [onward, socket],
    ] as const) {
      this.#sockets.add(end);
      end.on('error', () => {});
      end.on('close', () => {
        this.#sockets.delete(end);
        other.destroy();
      });
      end.pipe(other);
    }
  }
}

export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      return server;
    }),
  );
  return await Promise.all(
    servers.map(async (server) => {
      const address = server.address();
      await new Promise((resolve) => server.close(resolve));
      return typeof address === 'object' && address !== null ? address.port : 0;
    }),
  );
}
