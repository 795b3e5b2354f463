/**
 * WebSockets and event streams on the cluster. A change of configuration ends none; a backend's rolling update ends them as the backend says; a
 * rolling update of the data plane ends each once its pod drains, WebSockets by 1001 and events in good order, and every client is served again at its first try.
 */
import { beforeAll, expect, test } from 'vitest';
import type { Cluster } from '../cluster/cluster.ts';
import { until } from '../cluster/process.ts';
import { condition, installedCluster, NAMESPACE, podsOf, route, serveEcho, TO_ECHO } from '../harness/installation.ts';
import { StreamLoad } from '../harness/stream-load.ts';

const namespace = 'streams';
const host = 'streams.example.com';
const SOCKETS = 10;
const LISTENERS = 10;
const ALL = SOCKETS + LISTENERS;

let cluster: Cluster;
let url: string;
beforeAll(async () => {
  cluster = await installedCluster();
  url = await serveEcho(cluster, namespace, 2, host);
});

test('streams live through changes and updates, and end only as they should', async () => {
  const load = new StreamLoad(url, host);
  load.start(SOCKETS, LISTENERS);
  try {
    await until('all streams are open', () => load.open === ALL, 20_000);

    const edits = { request: { set: [{ name: 'x-edited', value: 'yes' }] } };
    await cluster.apply(route(namespace, 'echo', host, [{ ...TO_ECHO, headers: edits }]));
    await condition(cluster, namespace, 'route/echo');
    const { messages } = load.counts;
    await until('messages go on', () => load.counts.messages > messages + 5 * ALL, 20_000);
    expect(load.counts).toMatchObject({ opened: ALL, refused: 0, away: 0, cut: 0, complete: 0, broken: 0 });

    await cluster.kubectl(['rollout', 'restart', '-n', namespace, 'deployment/echo']);
    await rolledOut(namespace, 'echo');
    await until('both backends have gone', () => load.counts.away >= SOCKETS && load.open === ALL, 60_000);
    const afterBackend = { ...load.counts };
    console.log(`streams: after the backend's update ${JSON.stringify(afterBackend)}`);
    expect(afterBackend).toMatchObject({ refused: 0, cut: 0, broken: 0 });

    const old = new Set((await podsOf(cluster, 'dataplane')).map(({ metadata }) => metadata.name));
    await cluster.kubectl(['rollout', 'restart', '-n', NAMESPACE, 'deployment/tidegate-dataplane']);
    await rolledOut(NAMESPACE, 'tidegate-dataplane');
    await until(
      'the pods before are gone',
      async () => {
        const pods = await cluster.kubectl(['get', 'pods', '-n', NAMESPACE, '-o', 'name']);
        return [...old].every((name) => !pods.includes(name));
      },
      90_000,
    );
    await until('all streams are open', () => load.open === ALL, 20_000);
    const { counts } = load;
    console.log(`streams: after the data plane's update ${JSON.stringify(counts)}`);
    expect(load.failures).toEqual([]);
    expect(counts).toMatchObject({ refused: 0, broken: 0, cut: 0 });
    const away = counts.away - afterBackend.away;
    expect(away).toBeGreaterThanOrEqual(SOCKETS);
    // Two pods, one after the other: a client may meet both.
    expect(away).toBeLessThanOrEqual(2 * SOCKETS);
    expect(counts.complete - afterBackend.complete).toBeLessThanOrEqual(2 * LISTENERS);
  } finally {
    load.stop();
  }
});

async function rolledOut(where: string, name: string): Promise<void> {
  await cluster.kubectl(['rollout', 'status', '-n', where, `deployment/${name}`, '--timeout=150s'], {
    timeoutMs: 160_000,
  });
}
