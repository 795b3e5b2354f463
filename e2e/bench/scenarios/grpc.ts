/** Unary gRPC calls over 16 connections with 10 streams each, to a server of gRPC. */
import { join } from 'node:path';
import { grpc } from '../grpc/client.ts';
import { envoy, haproxy, nginx, tidegate } from '../grpc/peers.ts';
import { freePorts } from '../ports.ts';
import { untilReady } from '../programs.ts';
import type { Scenario } from '../scenario.ts';
import { compare } from './compare.ts';
import type { StartBackends } from './turns.ts';

const MESSAGE = 'x'.repeat(100);

export const scenario: Scenario = {
  name: 'grpc',
  about: 'unary gRPC calls through nginx, HAProxy, Envoy and Tidegate',
  quick: false,
  run: (bench) =>
    compare(bench, 'grpc', {
      id: 'grpc',
      name: 'unary calls of 100 B',
      peers: [nginx, haproxy, envoy, tidegate],
      request: { path: '/bench.Echo/Unary', content: MESSAGE, client: grpc, connections: 16 },
      backends,
      checks: [],
      goals: [{ proxy: 'tidegate', against: 'envoy', atMost: 1.5 }],
    }),
};

const backends: StartBackends = async (bench, dir) => {
  const [port = 0] = await freePorts(1);
  const program = bench.programs.start('backend', process.execPath, {
    args: [join(import.meta.dirname, '..', 'grpc', 'backend-program.ts'), String(port), MESSAGE],
    core: bench.loadCore,
    logFile: join(dir, 'out.log'),
  });
  await untilReady(program, () => grpc.answers(`http://127.0.0.1:${port}/`, MESSAGE));
  return { endpoints: [{ address: '127.0.0.1', port }], checked: true, stop: () => program.stop() };
};
