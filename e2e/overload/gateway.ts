/**
 * The compiled programs with one worker, and rules that cost so much that a small machine can send five times what they carry: an authorization
 * rule tries a pattern of quadratic cost on a header that clients send long.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ok, startController, startDataPlane } from '../bench/peers/tidegate.ts';
import { freePorts } from '../bench/ports.ts';
import { Programs, untilReady } from '../bench/programs.ts';

export interface OverloadedGateway {
  readonly port: number;
  readonly adminPort: number;
  stop(): Promise<void>;
}

/** Some milliseconds of work on a core of today. */
export const COSTLY_FIELD = `x-text: ${'a'.repeat(2_500)}\r\n`;

const COSTLY = `
  authorization:
    default: allow
    rules: [{ name: costly, action: deny, cel: 'request.headers["x-text"].matches("[a-z]*0")' }]`;

/** `path` is a prefix; `sections` of its Policy, indented. */
export interface OverloadedRule {
  readonly path: string;
  readonly sections: string;
}

export async function startGateway(
  rules: readonly OverloadedRule[],
  env: Readonly<Record<string, string>> = {},
): Promise<OverloadedGateway> {
  const backend = await startBackend();
  const [port = 0, adminPort = 0] = await freePorts(2);
  // Short: a socket lies in it.
  const dir = mkdtempSync(join(tmpdir(), 'tg-overload-'));
  const files = join(dir, 'config');
  mkdirSync(files);
  writeFileSync(join(files, 'objects.yaml'), objects((backend.address() as AddressInfo).port, rules));
  const programs = new Programs();
  const stop = async (): Promise<void> => {
    await programs.stopAll();
    backend.closeAllConnections();
    await new Promise((resolve) => backend.close(resolve));
    rmSync(dir, { recursive: true, force: true });
  };
  try {
    await startController({ programs, dir, files });
    const accessLog = join(dir, 'access.log');
    const { program, readyUrl } = await startDataPlane({ programs, dir, port, adminPort, workers: 1, accessLog, env });
    await untilReady(program, () => ok(readyUrl), 60_000);
    return { port, adminPort, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function objects(backendPort: number, rules: readonly OverloadedRule[]): string {
  const backend = `apiVersion: tidegate.dev/v1alpha1
kind: Backend
metadata: { name: backend, namespace: overload }
spec: { hosts: [{ address: 127.0.0.1, port: ${backendPort} }] }
`;
  const each = rules.map(
    ({ path, sections }) => `apiVersion: tidegate.dev/v1alpha1
kind: Route
metadata: { name: ${path.slice(1)}, namespace: overload }
spec:
  rules: [{ name: all, matches: [{ path: { prefix: ${path} } }], backends: [{ name: backend }] }]
---
apiVersion: tidegate.dev/v1alpha1
kind: Policy
metadata: { name: ${path.slice(1)}, namespace: overload }
spec:
  targetRefs: [{ kind: Route, name: ${path.slice(1)} }]${COSTLY}
${sections}
`,
  );
  return [backend, ...each].join('---\n');
}

async function startBackend(): Promise<http.Server> {
  // The last segment of a path is how many ms an answer takes.
  const server = http.createServer((request, response) => {
    setTimeout(() => response.end('ok'), Number(/\/(\d{1,4})$/.exec(request.url ?? '')?.[1] ?? 0));
  });
  server.keepAliveTimeout = 60_000;
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}
