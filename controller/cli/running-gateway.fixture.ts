/** `tidegate run` on a folder, as a person starts it, on free ports; for tests. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import net, { type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';

const MAIN = path.join(import.meta.dirname, 'main.ts');

export interface RunningGateway {
  readonly folder: string;
  /** Where requests go, where the data plane's and where the controller's admin pages are. */
  readonly base: string;
  readonly admin: string;
  readonly controller: string;
  /** Puts a file in place in one step. */
  write(file: string, text: string): void;
  /** Ctrl-C, and again at once; resolves with the exit code. */
  interruptTwice(): Promise<number | null>;
}

/** `files` by name. What is started is ended by what is added to `cleanUp`, called in reverse. */
export async function runFolder(
  files: Readonly<Record<string, string>>,
  cleanUp: (() => unknown)[],
): Promise<RunningGateway> {
  const root = mkdtempSync(path.join(tmpdir(), 'tidegate-run-'));
  cleanUp.push(() => rmSync(root, { recursive: true, force: true }));
  const folder = path.join(root, 'config');
  mkdirSync(folder);
  const write = (file: string, text: string): void => {
    writeFileSync(path.join(root, 'next'), text);
    renameSync(path.join(root, 'next'), path.join(folder, file));
  };
  for (const [file, text] of Object.entries(files)) write(file, text);
  const [gateway, admin, controller] = await freePorts(3);
  const ports = ['--port', gateway, '--admin-port', admin, '--controller-port', controller].map(String);
  const child = start('run', folder, ...ports, '--workers', '2', '--state', path.join(root, 'state'));
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  cleanUp.push(async () => {
    child.kill('SIGTERM');
    await ended;
  });
  await new Promise<void>((resolve, reject) => {
    let text = '';
    const read = (chunk: string): void => {
      text += chunk;
      if (text.includes('Ctrl-C stops')) resolve();
    };
    child.stdout?.setEncoding('utf8').on('data', read);
    child.stderr?.setEncoding('utf8').on('data', read);
    child.once('close', () => reject(new Error(text)));
  });
  const at = (port: number | undefined) => `http://127.0.0.1:${port}`;
  const interruptTwice = (): Promise<number | null> => {
    child.kill('SIGINT');
    // Two of a kind could become one.
    child.kill('SIGTERM');
    return ended;
  };
  return { folder, base: at(gateway), admin: at(admin), controller: at(controller), write, interruptTwice };
}

/** Any other command, to its end. */
export function tidegate(...args: string[]): Promise<{ code: number | null; text: string }> {
  const child = start(...args);
  let text = '';
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, text })));
}

/** Its port. */
export async function serve(listener: http.RequestListener, cleanUp: (() => unknown)[]): Promise<number> {
  const server = http.createServer(listener).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  cleanUp.push(() => server.close());
  cleanUp.push(() => server.closeAllConnections());
  return (server.address() as AddressInfo).port;
}

function start(...args: string[]): ChildProcess {
  return spawn(process.execPath, ['--conditions=source', MAIN, ...args]);
}

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => net.createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => new Promise((resolve) => server.once('listening', resolve))));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
