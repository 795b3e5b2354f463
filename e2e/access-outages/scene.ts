/** The compiled programs, a controller with files and one or more data planes, before a backend that always answers. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ok, startController, startDataPlane } from '../bench/peers/tidegate.ts';
import { freePorts } from '../bench/ports.ts';
import { Programs, untilReady } from '../bench/programs.ts';
import { until } from '../cluster/process.ts';

export interface Scene {
  /** Of the gateway, its first data plane. */
  readonly url: string;
  /** One each data plane. */
  readonly urls: readonly string[];
  /** The message of the Policy's condition Programmed while it is False, else null; as `GET /api/v1/objects` of the controller has it. */
  trouble(policy: string): Promise<string | null>;
  /** Waits until the controller says of every Policy that it is programmed. */
  untilWell(): Promise<void>;
  /** Waits until the controller says a trouble of it that matches, or with null that there is none. */
  untilTrouble(policy: string, expected: RegExp | null): Promise<void>;
  /** Sum of a metric's samples that hold all the labels; 0 where there are none. */
  metric(name: string, labels?: Readonly<Record<string, string>>): Promise<number>;
  stop(): Promise<void>;
}

export interface SceneOptions {
  /** Objects of namespace `outages`, in YAML; a Backend `backend` is there. */
  readonly yaml: string;
  /** Settings of the data plane. */
  readonly env?: Readonly<Record<string, string>>;
  readonly workers: number;
  /** 1 when absent. */
  readonly dataPlanes?: number;
}

interface ControllerObject {
  readonly kind: string;
  readonly name: string;
  readonly conditions: readonly { type: string; status: string; message: string }[];
}

/** A status travels from the worker over the supervisor and the controller; never measured, only bounded. */
const STATUS_TIMEOUT_MS = 60_000;

/** Resolves when the data planes are ready. */
export async function startScene({ yaml, workers, dataPlanes = 1, env = {} }: SceneOptions): Promise<Scene> {
  const backend = await startBackend();
  const [controllerAdmin = 0] = await freePorts(1);
  // Short: a socket lies in it.
  const dir = mkdtempSync(join(tmpdir(), 'tg-outage-'));
  const files = join(dir, 'config');
  mkdirSync(files);
  writeFileSync(
    join(files, 'objects.yaml'),
    `${backendYaml((backend.address() as AddressInfo).port)}---\n${routeYaml(CONTROL_PATH.slice(1))}---\n${yaml}`,
  );
  const programs = new Programs();
  const stop = async () => {
    await programs.stopAll();
    backend.closeAllConnections();
    await new Promise((resolve) => backend.close(resolve));
    rmSync(dir, { recursive: true, force: true });
  };
  try {
    await startController({ programs, dir, files, adminPort: controllerAdmin });
    const refused = readFileSync(join(dir, 'controller.log'), 'utf8')
      .split('\n')
      .find((line) => line.includes('"refused"'));
    if (refused !== undefined) throw new Error(`the controller refuses the objects: ${refused}`);
    const planes = await Promise.all(
      Array.from({ length: dataPlanes }, (_, i) => startPlane({ programs, dir, workers, env }, `data-plane-${i}`)),
    );
    const [{ url, dataPlaneAdmin }] = planes as [Plane];
    const admin = `http://127.0.0.1:${controllerAdmin}`;
    const trouble = (policy: string) => troubleOf(admin, policy);
    return {
      url,
      urls: planes.map((plane) => plane.url),
      trouble,
      untilWell: () =>
        until('every Policy is well', async () => (await ailing(admin)).length === 0, STATUS_TIMEOUT_MS, 50),
      async untilTrouble(policy, expected) {
        const what = expected === null ? `Policy ${policy} is well` : `Policy ${policy} says ${expected}`;
        const holds = (said: string | null) =>
          expected === null ? said === null : said !== null && expected.test(said);
        await until(what, async () => holds(await trouble(policy)), STATUS_TIMEOUT_MS, 50);
      },
      metric: (name, labels = {}) => metricOf(`http://127.0.0.1:${dataPlaneAdmin}`, name, labels),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

interface Plane {
  readonly url: string;
  readonly dataPlaneAdmin: number;
}

interface PlaneOptions extends Required<Pick<SceneOptions, 'workers' | 'env'>> {
  readonly programs: Programs;
  readonly dir: string;
}

/** Resolves when it is ready. */
async function startPlane({ programs, dir, workers, env }: PlaneOptions, name: string): Promise<Plane> {
  const [port = 0, dataPlaneAdmin = 0] = await freePorts(2);
  const own = { ...env, TIDEGATE_NODE_NAME: name };
  const files = { logFile: `${name}.log`, accessLog: join(dir, `${name}-access.log`), stateDir: join(dir, name) };
  const options = { programs, dir, port, workers, adminPort: dataPlaneAdmin, env: own, ...files };
  const { program, url, readyUrl } = await startDataPlane(options);
  await untilReady(program, () => ok(readyUrl), 60_000);
  return { url, dataPlaneAdmin };
}

/** Under it the backend is reached without a Policy. */
export const CONTROL_PATH = '/control';

/** A Route of one path, and what its Policy has besides its target. */
export function protectedRoute(name: string, sections: string): string {
  return `${routeYaml(name)}---
apiVersion: tidegate.dev/v1alpha1
kind: Policy
metadata: { name: ${name}, namespace: outages }
spec:
  targetRefs: [{ kind: Route, name: ${name} }]
${sections.replaceAll(/^(?=.)/gm, '  ')}
`;
}

function routeYaml(name: string): string {
  return `apiVersion: tidegate.dev/v1alpha1
kind: Route
metadata: { name: ${name}, namespace: outages }
spec:
  rules:
    - name: all
      matches: [{ path: { prefix: /${name} } }]
      backends: [{ name: backend }]
`;
}

function backendYaml(port: number): string {
  return `apiVersion: tidegate.dev/v1alpha1
kind: Backend
metadata: { name: backend, namespace: outages }
spec:
  hosts: [{ address: 127.0.0.1, port: ${port} }]
`;
}

async function startBackend(): Promise<http.Server> {
  const server = http.createServer((request, response) => {
    request.resume();
    response.end('ok');
  });
  server.keepAliveTimeout = 60_000;
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

async function policiesOf(admin: string): Promise<ControllerObject[]> {
  const { objects } = (await (await fetch(`${admin}/api/v1/objects`)).json()) as { objects: ControllerObject[] };
  return objects.filter(({ kind }) => kind === 'Policy');
}

async function troubleOf(admin: string, policy: string): Promise<string | null> {
  const object = (await policiesOf(admin)).find(({ name }) => name === policy);
  if (object === undefined) throw new Error(`the controller has no Policy ${policy}`);
  const condition = object.conditions.find(({ type }) => type === 'Programmed');
  return condition?.status === 'False' ? condition.message : null;
}

/** Names of the Policies that are not programmed. */
async function ailing(admin: string): Promise<string[]> {
  const well = ({ conditions }: ControllerObject) =>
    conditions.some(({ type, status }) => type === 'Programmed' && status === 'True');
  return (await policiesOf(admin)).filter((policy) => !well(policy)).map(({ name }) => name);
}

async function metricOf(admin: string, name: string, labels: Readonly<Record<string, string>>): Promise<number> {
  const text = await (await fetch(`${admin}/metrics`)).text();
  const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
  return text
    .split('\n')
    .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
    .filter((line) => wanted.every((label) => line.includes(label)))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}
