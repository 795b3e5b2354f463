/** `tidegate run`: the controller on a folder of YAML and one data plane, as two child processes, until Ctrl-C. */
import { mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { VERSION } from '../version.ts';
import { type Child, type LogLine, startChild } from './child.ts';
import { takenPorts } from './ports.ts';
import { programs } from './programs.ts';
import { renderLine } from './run-output.ts';
import { SAMPLE_PORTS, type SampleServers, startSamples } from './samples.ts';

interface RunOptions {
  readonly host: string;
  readonly port: number;
  readonly adminPort: number;
  readonly controllerPort: number;
  /** Absent: HTTPS_PORT, where it is free. */
  readonly httpsPort?: number;
  readonly h2cPort: number;
  readonly workers?: number;
  readonly samples: boolean;
  readonly state: string;
  readonly gateway: string;
}

const READY_TIMEOUT_MS = 60_000;
/** Then it says that it is still waiting. */
const PATIENCE_MS = 5_000;
const STOP_GRACE_MS = 10_000;

export function runCommand(): Command {
  return new Command('run')
    .description('serve the routes of a folder of YAML on this machine; a saved file is live at once')
    .argument('[folder]', 'folder with Route, Backend and Policy documents (*.yaml, *.yml)', '.')
    .option('--port <port>', 'port of the gateway', port, 8080)
    .option('--host <address>', 'address the gateway listens on', '127.0.0.1')
    .option('--admin-port <port>', "port of the data plane's admin pages, on 127.0.0.1", port, 9090)
    .option('--controller-port <port>', "port of the controller's admin pages, on 127.0.0.1", port, 9091)
    .option('--https-port <port>', 'port for TLS; 0 switches it off (default: 8443 where it is free)', portOrZero)
    .option('--h2c-port <port>', 'port for HTTP/2 without TLS; 0 switches it off', portOrZero, 0)
    .option('--workers <n>', 'worker threads of the data plane (default: one a core)', workers)
    .option('--samples', 'also start the sample backends of the example configuration on 127.0.0.1', false)
    .option('--state <folder>', 'where the access log and the last good snapshot are kept', '.tidegate')
    .option('--gateway <name>', 'serve the objects whose spec.gateway is this', 'tidegate')
    .addHelpText(
      'after',
      `
What it prints after the start: one line a saved file, "live in N ms" or "refused" with the field and the reason.
A refused file changes nothing: the version before it keeps serving.`,
    )
    .action(async (folder: string, options: RunOptions) => {
      process.exitCode = await run(folder, options);
    });
}

const HTTPS_PORT = 8443;

async function run(folder: string, given: RunOptions): Promise<number> {
  const options = { ...given, httpsPort: given.httpsPort ?? (await freeHttpsPort(given.host)) };
  const say = (text: string): void => void process.stdout.write(`${text}\n`);
  const complain = (text: string): number => {
    process.stderr.write(`tidegate: ${text}\n`);
    return 1;
  };
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory()) {
    return complain(`${folder} is not a folder: name the one that holds your Route, Backend and Policy files`);
  }
  const taken = await takenPorts(portNeeds(options));
  if (taken.length > 0) return complain(taken.join('\ntidegate: '));

  const startedAt = performance.now();
  mkdirSync(options.state, { recursive: true, mode: 0o700 });
  const state = path.resolve(options.state);
  // The socket's path must stay short (108 bytes), so it does not live in the state folder.
  const socketFolder = mkdtempSync(path.join(tmpdir(), 'tidegate-'));
  const address = `unix:${path.join(socketFolder, 'controller.sock')}`;
  const children: Child[] = [];
  let samples: SampleServers | null = null;
  const stopping = stopSignal();
  let announced = false;
  const early: { readonly line: LogLine; readonly text: string }[] = [];
  const show = (program: string) => (line: LogLine) => {
    const text = renderLine(program, line, () => new Date(), !announced);
    if (text === null) return;
    if (announced) say(text);
    else early.push({ line, text });
  };
  try {
    if (options.samples) samples = await startSamples();
    const { controller, dataplane } = programs();
    children.push(startChild('controller', controller, controllerEnv(folder, address, options), show('controller')));
    children.push(startChild('data plane', dataplane, dataplaneEnv(address, state, options), show('data plane')));
    const died = Promise.race(children.map(async (child) => ({ child, code: await child.exited })));
    const ready = await Promise.race([
      untilReady(`http://127.0.0.1:${options.adminPort}/readyz`, () => say('  still starting …')),
      died.then(() => false),
      stopping.then(() => null),
    ]);
    if (ready === false)
      return complain(
        failure(
          children,
          early.map(({ text }) => text),
        ),
      );
    if (ready === true) {
      const refused = early.filter(({ line }) => line.event === 'refused').length;
      say(await banner(folder, state, options, performance.now() - startedAt, refused));
      announced = true;
      // That one program had to wait for the other is over; what is wrong with a file is not.
      for (const { line, text } of early) if (line.event === 'refused' || 'problems' in line) say(text);
      const end = await Promise.race([stopping, died]);
      if (typeof end !== 'string') {
        return complain(`the ${end.child.name} stopped by itself (exit ${end.code}):\n${end.child.lastWords()}`);
      }
    }
    say('\n  stopping: requests in flight are finished first');
    return 0;
  } finally {
    for (const child of children.reverse()) await child.stop(STOP_GRACE_MS);
    await samples?.close();
    rmSync(socketFolder, { recursive: true, force: true });
    if (announced) say('  stopped');
  }
}

async function freeHttpsPort(host: string): Promise<number> {
  const taken = await takenPorts([{ port: HTTPS_PORT, host, purpose: 'https', option: '--https-port' }]);
  return taken.length === 0 ? HTTPS_PORT : 0;
}

function portNeeds(options: RunOptions) {
  const needs = [
    { port: options.port, host: options.host, purpose: 'gateway', option: '--port' },
    { port: options.adminPort, host: '127.0.0.1', purpose: 'admin', option: '--admin-port' },
    { port: options.controllerPort, host: '127.0.0.1', purpose: 'controller', option: '--controller-port' },
  ];
  if (options.httpsPort !== undefined && options.httpsPort > 0)
    needs.push({ port: options.httpsPort, host: options.host, purpose: 'https', option: '--https-port' });
  if (options.h2cPort > 0)
    needs.push({ port: options.h2cPort, host: options.host, purpose: 'h2c', option: '--h2c-port' });
  if (options.samples) {
    for (const p of Object.values(SAMPLE_PORTS).flat()) {
      needs.push({
        port: p,
        host: '127.0.0.1',
        purpose: 'sample backend',
        option: 'a configuration of your own, without --samples',
      });
    }
  }
  return needs;
}

function controllerEnv(folder: string, address: string, options: RunOptions): NodeJS.ProcessEnv {
  return {
    ...process.env,
    TIDEGATE_SOURCE: 'files',
    TIDEGATE_DIR: folder,
    TIDEGATE_LISTEN: address,
    TIDEGATE_GATEWAY: options.gateway,
    TIDEGATE_ADMIN_HOST: '127.0.0.1',
    TIDEGATE_ADMIN_PORT: String(options.controllerPort),
  };
}

function dataplaneEnv(address: string, state: string, options: RunOptions): NodeJS.ProcessEnv {
  return {
    ...process.env,
    TIDEGATE_CONTROLLER: address,
    TIDEGATE_GATEWAY: options.gateway,
    TIDEGATE_NODE_NAME: 'laptop',
    TIDEGATE_HOST: options.host,
    TIDEGATE_HTTP_PORT: String(options.port),
    TIDEGATE_HTTPS_PORT: String(options.httpsPort ?? 0),
    TIDEGATE_H2C_PORT: String(options.h2cPort),
    TIDEGATE_ADMIN_HOST: '127.0.0.1',
    TIDEGATE_ADMIN_PORT: String(options.adminPort),
    TIDEGATE_STATE_DIR: state,
    TIDEGATE_ACCESS_LOG: path.join(state, 'access.log'),
    TIDEGATE_DRAIN_GRACE_MS: '0',
    ...(options.workers === undefined ? {} : { TIDEGATE_WORKERS: String(options.workers) }),
  };
}

/** True once /readyz answers 200; false when it did not within READY_TIMEOUT_MS. */
async function untilReady(url: string, onSlow: () => void): Promise<boolean> {
  const startedAt = performance.now();
  let slow = false;
  while (performance.now() - startedAt < READY_TIMEOUT_MS) {
    if (!slow && performance.now() - startedAt > PATIENCE_MS) {
      slow = true;
      onSlow();
    }
    try {
      const answer = await fetch(url, { signal: AbortSignal.timeout(1000) });
      await answer.body?.cancel();
      if (answer.ok) return true;
    } catch {
      // Not listening yet.
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return false;
}

function failure(children: readonly Child[], backlog: readonly string[]): string {
  const words = children.map((child) => child.lastWords()).filter((text) => text !== '');
  return [`the gateway did not get ready`, ...backlog, ...words].join('\n');
}

async function banner(
  folder: string,
  state: string,
  options: RunOptions,
  tookMs: number,
  refused: number,
): Promise<string> {
  const base = `http://${options.host}:${options.port}`;
  const counts = await objectCounts(options.controllerPort);
  const without = refused === 0 ? '' : `, ${refused === 1 ? 'a file' : `${refused} files`} refused: see below`;
  const lines = [
    `  tidegate ${VERSION}  standalone  ${folder}${counts}${without}`,
    '',
    `  gateway   ${base}      ready in ${(tookMs / 1000).toFixed(1)} s`,
    ...(options.httpsPort
      ? [`  https     https://${options.host}:${options.httpsPort}      hosts of Routes with spec.tls`]
      : []),
    `  admin     http://127.0.0.1:${options.adminPort}      /metrics /readyz /debug/config, tidegate explain`,
    `  log       ${path.relative('.', path.join(state, 'access.log'))}`,
  ];
  if (options.samples) {
    lines.push(
      '',
      `  try   curl -i ${base}/hello`,
      `        curl -i -H 'x-api-key: demo-key-0123456789' ${base}/orders/42`,
      `        curl -i ${base}/orders/42                    # 401: the policy wants a key`,
      `        curl -i -X DELETE ${base}/orders/42          # 405: this API is read-only here`,
      `        curl -i ${base}/canary                       # 90 % of one version, 10 % of another`,
    );
  }
  lines.push('', `  editing ${path.join(folder, '*.yaml')} takes effect at once; Ctrl-C stops`);
  return lines.join('\n');
}

async function objectCounts(controllerPort: number): Promise<string> {
  try {
    const answer = await fetch(`http://127.0.0.1:${controllerPort}/api/v1/objects`, {
      signal: AbortSignal.timeout(1000),
    });
    const { objects } = (await answer.json()) as { objects: { kind: string }[] };
    const count = (kind: string): number => objects.filter((object) => object.kind === kind).length;
    const word = (n: number, one: string, many: string): string => `${n} ${n === 1 ? one : many}`;
    return ` (${word(count('Route'), 'route', 'routes')}, ${word(count('Backend'), 'backend', 'backends')}, ${word(count('Policy'), 'policy', 'policies')})`;
  } catch {
    return '';
  }
}

/** Resolves at the first SIGINT or SIGTERM; the second one ends the process at once. */
function stopSignal(): Promise<string> {
  return new Promise((resolve) => {
    let asked = false;
    const onSignal = (signal: string): void => {
      if (asked) process.exit(130);
      asked = true;
      resolve(signal);
    };
    process.on('SIGINT', onSignal);
    process.on('SIGTERM', onSignal);
  });
}

function port(text: string): number {
  const value = portOrZero(text);
  if (value === 0) throw new InvalidArgumentError('must be 1 to 65535');
  return value;
}

function portOrZero(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0 || value > 65_535) throw new InvalidArgumentError('must be 0 to 65535');
  return value;
}

function workers(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > 256) throw new InvalidArgumentError('must be 1 to 256');
  return value;
}
