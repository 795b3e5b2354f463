/** Tidegate as `tidegate run` starts it: its two compiled programs, one worker, metrics on, configuration from files. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePorts } from '../ports.ts';
import { type Program, type Programs, untilReady } from '../programs.ts';
import type { Endpoint, Peer, PeerContext } from './peer.ts';

const root = join(import.meta.dirname, '..', '..', '..');

export interface ControllerOptions {
  readonly programs: Programs;
  /** For its log and its socket; the path must stay short (a socket's may have 108 bytes). */
  readonly dir: string;
  /** Folder of YAML files. */
  readonly files: string;
  /** Absent: not pinned. */
  readonly core?: number;
  /** A free one when absent. */
  readonly adminPort?: number;
}

export interface DataPlaneOptions {
  readonly programs: Programs;
  readonly dir: string;
  readonly port: number;
  /** Absent: not pinned. */
  readonly core?: number | string;
  readonly workers: number;
  /** `off` or a file. */
  readonly accessLog: string;
  /** Where the last good snapshot is kept; `state` in the folder when absent. */
  readonly stateDir?: string;
  /** Name of its own log; `dataplane.log` when absent. */
  readonly logFile?: string;
  readonly adminPort?: number;
  /** More settings. */
  readonly env?: Readonly<Record<string, string>>;
}

/** The compiled programs; throws when they are not built. */
function compiled(program: 'controller' | 'dataplane'): string {
  const file = join(root, program, 'dist', 'main.js');
  if (!existsSync(file)) throw new Error(`${program}/dist/main.js is missing: make build`);
  return file;
}

const socketOf = (dir: string) => `unix:${join(dir, 'controller.sock')}`;

/** Resolves when the controller is ready. */
export async function startController(options: ControllerOptions): Promise<Program> {
  const adminPort = options.adminPort ?? (await freePorts(1))[0];
  const program = options.programs.start('tidegate controller', process.execPath, {
    args: [compiled('controller')],
    ...(options.core === undefined ? {} : { core: options.core }),
    env: {
      NODE_ENV: 'production',
      TIDEGATE_SOURCE: 'files',
      TIDEGATE_DIR: options.files,
      TIDEGATE_LISTEN: socketOf(options.dir),
      TIDEGATE_ADMIN_HOST: '127.0.0.1',
      TIDEGATE_ADMIN_PORT: String(adminPort),
    },
    logFile: join(options.dir, 'controller.log'),
  });
  await untilReady(program, () => ok(`http://127.0.0.1:${adminPort}/readyz`));
  return program;
}

/** Throws where the controller whose log lies in this folder refuses a file. */
export function throwIfRefused(dir: string): void {
  const log = readFileSync(join(dir, 'controller.log'), 'utf8');
  const refused = log.split('\n').find((line) => line.includes('"refused"'));
  if (refused !== undefined) throw new Error(`the controller refuses the objects: ${refused}`);
}

export interface DataPlane {
  readonly program: Program;
  readonly url: string;
  readonly readyUrl: string;
}

/** Resolves when the process is started, not yet ready. */
export async function startDataPlane(options: DataPlaneOptions): Promise<DataPlane> {
  const adminPort = options.adminPort ?? (await freePorts(1))[0];
  const program = options.programs.start('tidegate data plane', process.execPath, {
    args: [compiled('dataplane')],
    ...(options.core === undefined ? {} : { core: options.core }),
    env: {
      NODE_ENV: 'production',
      TIDEGATE_CONTROLLER: socketOf(options.dir),
      TIDEGATE_NODE_NAME: 'bench',
      TIDEGATE_HOST: '127.0.0.1',
      TIDEGATE_HTTP_PORT: String(options.port),
      TIDEGATE_ADMIN_HOST: '127.0.0.1',
      TIDEGATE_ADMIN_PORT: String(adminPort),
      TIDEGATE_WORKERS: String(options.workers),
      TIDEGATE_STATE_DIR: options.stateDir ?? join(options.dir, 'state'),
      TIDEGATE_ACCESS_LOG: options.accessLog,
      TIDEGATE_DRAIN_GRACE_MS: '0',
      TIDEGATE_DRAIN_DEADLINE_MS: '2000',
      ...options.env,
    },
    logFile: join(options.dir, options.logFile ?? 'dataplane.log'),
  });
  return { program, url: `http://127.0.0.1:${options.port}`, readyUrl: `http://127.0.0.1:${adminPort}/readyz` };
}

export async function ok(url: string): Promise<boolean> {
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(2000) });
    await answer.body?.cancel();
    return answer.ok;
  } catch {
    return false;
  }
}

/** A Backend at a port of this machine. */
export function backendYaml(port: number): string {
  return backendAt([{ address: '127.0.0.1', port }]);
}

/** A Backend at these endpoints, with more fields. */
export function backendAt(hosts: readonly Endpoint[], more: object = {}): string {
  const metadata = { name: 'backend', namespace: 'bench' };
  const document = { apiVersion: 'tidegate.dev/v1alpha1', kind: 'Backend', metadata, spec: { hosts, ...more } };
  return `${JSON.stringify(document)}\n`;
}

/** A Route of one rule: a path prefix to that Backend. */
export function routeYaml(name: string, prefix: string): string {
  return `apiVersion: tidegate.dev/v1alpha1
kind: Route
metadata: { name: ${name}, namespace: bench }
spec:
  rules:
    - name: all
      matches: [{ path: { prefix: ${prefix} } }]
      backends: [{ name: backend }]
`;
}

export interface Variant {
  /** Its configuration: YAML texts by file name. */
  readonly files: (context: PeerContext) => Readonly<Record<string, string>>;
  readonly accessLog?: 'off';
  /** More settings of the data plane. */
  readonly env?: Readonly<Record<string, string>>;
  /** Of the data plane; a free one when absent. */
  readonly adminPort?: number;
}

/** Everything to the backend, no policies. */
export const plain: Variant = {
  files: ({ endpoints }) => ({ 'gateway.yaml': `${backendAt(endpoints)}---\n${routeYaml('all', '/')}` }),
};

export async function startTidegate(context: PeerContext, variant: Variant): Promise<Program> {
  const files = join(context.dir, 'config');
  mkdirSync(files, { recursive: true });
  for (const [name, text] of Object.entries(variant.files(context))) writeFileSync(join(files, name), text);
  const { programs, dir, port, core, sideCore, workers = 1 } = context;
  await startController({ programs, dir, files, core: sideCore });
  throwIfRefused(dir);
  const accessLog = variant.accessLog ?? join(dir, 'access.log');
  const { env = {}, adminPort } = variant;
  const admin = adminPort === undefined ? {} : { adminPort };
  return (await startDataPlane({ programs, dir, port, core, workers, accessLog, env, ...admin })).program;
}

export const tidegate: Peer = {
  name: 'tidegate',
  about: '1 worker, metrics on, access log (JSON) to a file',
  needs: [],
  start: (context) => startTidegate(context, plain),
};

export const tidegateQuiet: Peer = {
  name: 'tidegate-nolog',
  about: 'the same without an access log',
  needs: [],
  start: (context) => startTidegate(context, { ...plain, accessLog: 'off' }),
};
