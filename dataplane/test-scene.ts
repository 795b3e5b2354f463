/** For tests of the whole program: a controller and backends beside it, ended when the test is over. */
import { mkdtempSync, rmSync } from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { backendFixture, endpointsFixture, forwardFixture, ruleFixture } from './snapshot/fixtures.ts';
import type { Resource } from './snapshot/resources.ts';
import { TestController, type TestSnapshot, type TestStream } from './sync/test-controller.ts';
import { DataplaneProcess } from './test-process.ts';

export class Scene {
  readonly #cleanups: (() => unknown)[] = [];

  /** Run when the test is over, the last one first. */
  after(cleanup: () => unknown): void {
    this.#cleanups.push(cleanup);
  }

  async end(): Promise<void> {
    for (const cleanup of this.#cleanups.splice(0).reverse()) await cleanup();
  }

  folder(): string {
    const folder = mkdtempSync(path.join(tmpdir(), 'dp-'));
    this.after(() => rmSync(folder, { recursive: true, force: true }));
    return folder;
  }

  /** On a unix socket in the folder. */
  async controller(folder = this.folder()): Promise<TestController> {
    const controller = await TestController.start(`unix:${folder}/c.sock`);
    this.after(() => controller.stop());
    return controller;
  }

  dataplane(controller: string, env: Record<string, string> = {}): DataplaneProcess {
    const dataplane = new DataplaneProcess({ TIDEGATE_CONTROLLER: controller, ...env });
    this.after(() => dataplane.end());
    return dataplane;
  }

  /** Its `address:port`. */
  async backend(handler: http.RequestListener): Promise<string> {
    const server = http.createServer(handler).listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    this.after(() => server.close());
    this.after(() => server.closeAllConnections());
    return `127.0.0.1:${(server.address() as AddressInfo).port}`;
  }
}

/** Sends it and expects it to be live without a word. */
export async function publish(stream: TestStream, snapshot: TestSnapshot, base?: TestSnapshot): Promise<void> {
  stream.send(base === undefined ? snapshot.full() : snapshot.since(base));
  const verdict = await stream.verdicts.next(({ revision }) => revision === snapshot.revision);
  if (!verdict.accepted || verdict.rejected.length > 0) throw new Error(JSON.stringify(verdict));
}

/** A connection of its own each time. */
export async function get(port: number, target: string): Promise<{ status: number; body: string }> {
  const answer = await fetch(`http://127.0.0.1:${port}${target}`, { headers: { connection: 'close' } });
  return { status: answer.status, body: await answer.text() };
}

/** Everything to one backend. */
export function proxied(address: string, name = 'shop/api'): Resource[] {
  return [
    ruleFixture(`${name}/r`, { action: forwardFixture(name) }),
    backendFixture(name),
    endpointsFixture(name, address),
  ];
}
