/** The same through Kubernetes: from the API server's 201 to the first 200, with two controllers and two data planes. */
import { join } from 'node:path';
import { echo, installedCluster, podsOf } from '../../harness/installation.ts';
import type { Result } from '../report.ts';
import type { Bench } from './bench.ts';
import { measurePropagation, present, sizes } from './propagation.ts';

const NAMESPACE = 'bench';
const program = join(import.meta.dirname, '..', 'propagation', 'program.ts');

/** Starts a cluster (or uses the one it runs in), installs both charts, and stops what it started. */
export async function propagationFromCluster(bench: Bench): Promise<Result[]> {
  bench.progress('propagation in a cluster: starting Kubernetes and installing the charts');
  const cluster = await installedCluster();
  const stop = () => (cluster.ownsCluster ? cluster.stop() : Promise.resolve());
  try {
    await echo(cluster, NAMESPACE, 'echo', 1);
    await cluster.apply({
      apiVersion: 'tidegate.dev/v1alpha1',
      kind: 'Backend',
      metadata: { name: 'backend', namespace: NAMESPACE },
      spec: { service: { name: 'echo', port: 8080 } },
    });
    const gateways = (await podsOf(cluster, 'dataplane')).map(({ status }) => `http://${status.podIP}:8080`).join();
    const { base, more } = sizes(bench);
    bench.progress(`propagation in a cluster: ${base} routes, then ${more} one by one`);
    const argv = [process.execPath, program, 'kubernetes', NAMESPACE, '-', gateways, String(base), String(more)];
    const report = await measurePropagation(cluster.inside(argv), { ...process.env, ...cluster.env() });
    return [present(bench, `propagation in a cluster, ${base} routes`, report)];
  } finally {
    await stop();
  }
}
