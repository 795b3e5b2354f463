/** The two programs as processes beside a control plane, and a data plane whose answers the test writes. */
import { mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { type ClientDuplexStream, credentials } from '@grpc/grpc-js';
import {
  createSnapshotsClient,
  type FromDataPlane,
  type HealthReport,
  type LoadReport,
  type ToDataPlane,
  type Verdict,
} from '@tidegate/dataplane/snapshot/protocol';
import { SCHEMA_VERSION } from '@tidegate/dataplane/snapshot/schema-version';
import { type CertificateFiles, createAuthority, issueCertificate } from '../cluster/certificates.ts';
import { type Daemon, startDaemon, until } from '../cluster/process.ts';
import { type ControlPlane, freePorts } from './control-plane.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');
export const NAMESPACE = 'tidegate';
export const SERVER_NAME = 'tidegate-controller.tidegate.svc';

/** Of one installation: its authority and the certificates signed by it. */
export interface Certificates {
  readonly authority: CertificateFiles;
  readonly controller: CertificateFiles;
  readonly dataplane: CertificateFiles;
}

export async function createCertificates(plane: ControlPlane): Promise<Certificates> {
  const folder = path.join(plane.folder, 'tls');
  mkdirSync(folder);
  const authority = await createAuthority(folder, 'tidegate-ca');
  const issue = (name: string, dns: readonly string[]) =>
    issueCertificate(folder, authority, {
      name,
      commonName: `tidegate-${name}`,
      alternativeNames: dns.map((one) => `DNS:${one}`),
    });
  return {
    authority,
    controller: await issue('controller', [SERVER_NAME, 'tidegate-metrics-api.tidegate.svc']),
    dataplane: await issue('dataplane', ['tidegate-dataplane']),
  };
}

export interface ControllerProcess {
  readonly replica: string;
  readonly daemon: Daemon;
  readonly pushPort: number;
  readonly adminPort: number;
  readonly metricsApiPort: number;
}

export interface Status {
  readonly controllers: readonly { replica: string; leader: boolean; revision: string }[];
  readonly dataPlanes: readonly {
    node: string;
    controller: string;
    revision: string;
    behind: number;
    ready: boolean;
    rejected: readonly { id: string; message: string }[];
  }[];
}

export interface ControllerOptions {
  readonly replica: string;
  readonly plane: ControlPlane;
  readonly certificates: Certificates;
  readonly ports: readonly [push: number, admin: number, metricsApi: number];
  /** Of the other replicas. */
  readonly peers: readonly string[];
}

export async function startControllerProcess(options: ControllerOptions): Promise<ControllerProcess> {
  const { replica, plane, certificates, peers } = options;
  const [pushPort, adminPort, metricsApiPort] = options.ports;
  const daemon = node(plane, replica, 'controller/main.ts', {
    POD_NAMESPACE: NAMESPACE,
    TIDEGATE_REPLICA: replica,
    TIDEGATE_KUBECONFIG: plane.relayedKubeconfig,
    TIDEGATE_LISTEN: `127.0.0.1:${pushPort}`,
    TIDEGATE_ADMIN_PORT: String(adminPort),
    TIDEGATE_TLS_CERT: certificates.controller.cert,
    TIDEGATE_TLS_KEY: certificates.controller.key,
    TIDEGATE_TLS_CA: certificates.authority.cert,
    TIDEGATE_TLS_SERVER_NAME: SERVER_NAME,
    TIDEGATE_TLS_PEER_NAMES: SERVER_NAME,
    TIDEGATE_TLS_DATAPLANE_NAMES: 'tidegate-dataplane',
    TIDEGATE_PEERS: peers.join(','),
    TIDEGATE_LEASE_DURATION_MS: '3000',
    TIDEGATE_LEASE_RENEW_MS: '2000',
    TIDEGATE_LEASE_RETRY_MS: '300',
    TIDEGATE_METRICS_API_HOST: '127.0.0.1',
    TIDEGATE_METRICS_API_PORT: String(metricsApiPort),
    TIDEGATE_METRICS_API_CERT: certificates.controller.cert,
    TIDEGATE_METRICS_API_KEY: certificates.controller.key,
  });
  const started = { replica, daemon, pushPort, adminPort, metricsApiPort };
  await until(`${replica} is ready`, async () => (await admin(started, '/readyz')).status === 200, 20_000, 50);
  return started;
}

export function admin({ adminPort }: ControllerProcess, at: string): Promise<Response> {
  return fetch(`http://127.0.0.1:${adminPort}${at}`, { signal: AbortSignal.timeout(5_000) });
}

export async function statusOf(controller: ControllerProcess): Promise<Status> {
  return (await (await admin(controller, '/api/v1/status')).json()) as Status;
}

/** The value of a metric without labels, or with exactly these in their order. */
export async function metricOf(controller: ControllerProcess, name: string): Promise<number> {
  const text = await (await admin(controller, '/metrics')).text();
  const line = text.split('\n').find((one) => one.startsWith(`${name} `));
  return Number(line?.slice(name.length + 1) ?? Number.NaN);
}

export interface DataPlaneProcess {
  readonly daemon: Daemon;
  readonly httpPort: number;
}

export async function startDataPlaneProcess(
  plane: ControlPlane,
  certificates: Certificates,
  name: string,
  controllers: readonly ControllerProcess[],
): Promise<DataPlaneProcess> {
  const [httpPort = 0, adminPort = 0] = await freePorts(2);
  const state = path.join(plane.folder, `state-${name}`);
  mkdirSync(state);
  const daemon = node(plane, name, 'dataplane/main.ts', {
    TIDEGATE_CONTROLLER: controllers.map(({ pushPort }) => `127.0.0.1:${pushPort}`).join(','),
    TIDEGATE_TLS_CERT: certificates.dataplane.cert,
    TIDEGATE_TLS_KEY: certificates.dataplane.key,
    TIDEGATE_TLS_CA: certificates.authority.cert,
    TIDEGATE_TLS_SERVER_NAME: SERVER_NAME,
    TIDEGATE_NODE_NAME: name,
    TIDEGATE_HOST: '127.0.0.1',
    TIDEGATE_HTTP_PORT: String(httpPort),
    TIDEGATE_ADMIN_PORT: String(adminPort),
    TIDEGATE_STATE_DIR: state,
    TIDEGATE_WORKERS: '1',
    TIDEGATE_DRAIN_GRACE_MS: '0',
  });
  await until(`${name} is ready`, async () => (await fetch(`http://127.0.0.1:${adminPort}/readyz`)).ok, 20_000, 50);
  return { daemon, httpPort };
}

function node(plane: ControlPlane, name: string, program: string, env: NodeJS.ProcessEnv): Daemon {
  const argv = [process.execPath, '--conditions=source', path.join(ROOT, program)];
  return startDaemon(name, argv, path.join(plane.folder, 'logs', `${name}.log`), { PATH: process.env.PATH, ...env });
}

/** A ready data plane that takes everything, and answers with what `verdict` says. */
export class ScriptedDataPlane {
  readonly #client: ReturnType<typeof createSnapshotsClient>;
  readonly #stream: ClientDuplexStream<FromDataPlane, ToDataPlane>;
  readonly #timer: NodeJS.Timeout;
  revision = '';
  load: Partial<LoadReport> = {};
  deltas = 0;

  constructor(
    { pushPort }: ControllerProcess,
    certificates: Certificates,
    name: string,
    verdict: (hashes: ReadonlyMap<string, string>) => Partial<Verdict>,
  ) {
    const { authority, dataplane } = certificates;
    this.#client = createSnapshotsClient(
      `127.0.0.1:${pushPort}`,
      credentials.createSsl(readFileSync(authority.cert), readFileSync(dataplane.key), readFileSync(dataplane.cert)),
      { 'grpc.ssl_target_name_override': SERVER_NAME },
    );
    this.#stream = this.#client.Subscribe();
    this.#stream.on('error', () => {});
    const hashes = new Map<string, string>();
    this.#stream.on('data', (message: ToDataPlane) => {
      if (message.message !== 'delta') return;
      const { delta } = message;
      if (delta.baseRevision === '') hashes.clear();
      for (const { id, hash } of delta.upsert) hashes.set(id, hash);
      for (const id of delta.removed) hashes.delete(id);
      if (!delta.last) return;
      this.deltas += 1;
      this.revision = delta.revision;
      const answer = { revision: delta.revision, accepted: true, rejected: [], message: '', ...verdict(hashes) };
      this.#stream.write({ message: 'verdict', verdict: answer });
    });
    const hello = { node: name, zone: '', schemaVersion: SCHEMA_VERSION, revision: '', programVersion: 'scripted' };
    this.#stream.write({ message: 'hello', hello: { ...hello, gateway: 'tidegate', held: [], share: null } });
    this.#timer = setInterval(() => this.#report(), 500);
    this.#report();
  }

  health(health: HealthReport): void {
    this.#stream.write({ message: 'health', health });
  }

  close(): void {
    clearInterval(this.#timer);
    this.#stream.cancel();
    this.#client.close();
  }

  #report(): void {
    const idle = { inFlight: 0, requestsTotal: 0, requestsPerSecond: 0, eventLoopUtilisation: 0, p99Ms: 0, workers: 1 };
    const load = { ready: true, draining: false, revision: this.revision, ...idle, ...this.load };
    this.#stream.write({ message: 'load', load });
  }
}
