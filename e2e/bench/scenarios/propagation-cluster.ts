/** The same through Kubernetes: from the API server's 201 to the first 200, with two controllers and two data planes. */
import { join } from 'node:path';
import { acquireCluster } from '../../cluster/acquire.ts';
import { until } from '../../cluster/process.ts';
import { echo, installedCluster, podsOf } from '../../harness/installation.ts';
import type { Result } from '../report.ts';
import type { Scenario } from '../scenario.ts';
import type { Bench } from './bench.ts';
import { measurePropagation, present, sizes } from './propagation.ts';

const NAMESPACE = 'bench';
const program = join(import.meta.dirname, '..', 'propagation', 'program.ts');

export const scenario: Scenario = {
  name: 'propagation-cluster',
  about: "the API server's 201 until the route answers (a cluster of local processes: Linux, root)",
  order: 220,
  quick: false,
  run: propagationFromCluster,
};

/** Starts a cluster (or uses the one it runs in), installs both charts, and stops what it started. */
export async function propagationFromCluster(bench: Bench): Promise<Result[]> {
  bench.progress('propagation in a cluster: starting Kubernetes and installing the charts');
  const started = await acquireCluster({ signal: bench.signal, log: bench.progress });
  const stop = async () => {
    if (started.ownsCluster) await started.stop();
  };
  bench.atEnd(stop);
  // what follows installs into this one
  if (started.runDirectory !== undefined) process.env.TIDEGATE_E2E_RUN = started.runDirectory;
  const cluster = await installedCluster();
  await echo(cluster, NAMESPACE, 'echo', 1);
  await cluster.apply({
    apiVersion: 'tidegate.dev/v1alpha1',
    kind: 'Backend',
    metadata: { name: 'backend', namespace: NAMESPACE },
    spec: { service: { name: 'echo', port: 8080 } },
  });
  const ready = async () =>
    (await podsOf(cluster, 'dataplane')).filter(({ status }) =>
      status.conditions?.some((condition) => condition.type === 'Ready' && condition.status === 'True'),
    );
  // the HPA makes two of the one a Deployment begins with
  await until('two data planes ready', async () => (await ready()).length >= 2, 60_000);
  const gateways = (await ready()).map(({ status }) => `http://${status.podIP}:8080`).join();
  const { base, more } = sizes(bench);
  bench.progress(`propagation in a cluster: ${base} routes, then ${more} one by one`);
  const argv = [process.execPath, program, 'kubernetes', NAMESPACE, '-', gateways, String(base), String(more)];
  const report = await measurePropagation(cluster.inside(argv), { ...process.env, ...cluster.env() });
  const result = present(bench, `propagation in a cluster, ${base} routes`, report);
  await stop();
  return [result];
}
