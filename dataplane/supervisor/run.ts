/** Starts the parts in order, and stops them in reverse on SIGTERM or SIGINT. */
import { setFlagsFromString } from 'node:v8';
import { startAdmin } from '../admin/server.ts';
import type { Config } from '../config.ts';
import { messageOf } from '../errors.ts';
import { shrinkHeap } from '../heap.ts';
import { readMeters } from '../telemetry/meter.ts';
import type { MetricsInput } from '../telemetry/metrics.ts';
import { readStageCounts } from '../telemetry/stage-counters.ts';
import { VERSION } from '../version.ts';
import { createOutput, type Output } from './output.ts';
import { Supervisor } from './supervisor.ts';

/** Resolves with the exit code when all has ended. */
export async function run(config: Config, warnings: readonly string[]): Promise<number> {
  let output: Output;
  try {
    output = createOutput(config);
  } catch (error) {
    process.stderr.write(`tidegate data plane: ${messageOf(error)}\n`);
    return 1;
  }
  const { log } = output;
  const stop = stopSignal(() => output.end());
  for (const warning of warnings) log.warn({}, warning);
  log.info(
    { event: 'starting', version: VERSION, node: config.nodeName, gateway: config.gateway, workers: config.workers },
    'starting',
  );

  let failed: (error: unknown) => void = () => {};
  const failure = new Promise<unknown>((resolve) => {
    failed = resolve;
  });
  // Workers first: they load while the rest is made.
  const supervisor = new Supervisor({
    config,
    log,
    accessLog: output.accessLog,
    onLines: output.writeLines,
    onServing: () => {
      // V8's default again (main.ts).
      setFlagsFromString('--semi-space-growth-factor=2');
      setImmediate(() => shrinkHeap());
    },
    onFatal: (error) => failed(error),
  });
  supervisor.start();
  const admin = await startAdmin(config.adminHost, config.adminPort, {
    notReadyBecause: () => supervisor.state.reason,
    metrics: lazyMetrics(supervisor, output, config),
    config: async () => {
      const [worker, backends] = await Promise.all([supervisor.pool.describe(), supervisor.describeBackends()]);
      return { ...supervisor.state, names: supervisor.backends.names.describe(), backends, worker };
    },
    explain: (request) => supervisor.pool.explain(request),
  }).catch((error: unknown) => {
    failed(
      new Error(`the admin pages can't be served on ${config.adminHost}:${config.adminPort}: ${messageOf(error)}`),
    );
    return null;
  });
  if (admin !== null)
    log.info({ event: 'admin', host: config.adminHost, port: admin.port }, 'the admin pages are served');
  process.on('SIGHUP', () => {
    output.reopen();
    supervisor.pool.reopenLog();
  });

  const end = await Promise.race([stop, failure.then((error) => ({ error }))]);
  if (typeof end !== 'string') {
    log.error({ event: 'failed', error: messageOf(end.error) }, `can't go on: ${messageOf(end.error)}`);
    output.end();
    return 1;
  }
  log.info(
    { event: 'draining', signal: end, graceMs: config.drainGraceMs, deadlineMs: config.drainDeadlineMs },
    'draining',
  );
  await supervisor.drain();
  await admin?.close();
  log.info({ event: 'stopped' }, 'stopped');
  output.end();
  return 0;
}

/**
 * Resolves with the first signal. The same one again ends the process at once; the other one does not: a terminal's Ctrl-C reaches a
 * whole family of processes, and the parent then asks once more with SIGTERM.
 */
function stopSignal(lastWords: () => void): Promise<string> {
  return new Promise((resolve) => {
    const seen = new Set<string>();
    const onSignal = (signal: NodeJS.Signals, code: number): void => {
      if (seen.has(signal)) {
        lastWords();
        process.exit(128 + code);
      }
      seen.add(signal);
      resolve(signal);
    };
    process.on('SIGTERM', onSignal);
    process.on('SIGINT', onSignal);
  });
}

/** The metrics library is loaded when somebody first asks. */
function lazyMetrics(supervisor: Supervisor, output: Output, config: Config) {
  const read = async (): Promise<MetricsInput> => {
    const { pool, state, load } = supervisor;
    const { series, stages, gauges, redis, certificates } = await pool.count(config.metricsMaxRoutes);
    const sum = (pick: (worker: (typeof gauges)[number]) => number): number =>
      gauges.reduce((total, worker) => total + pick(worker), 0);
    return {
      reading: readMeters(pool.meters),
      series,
      stages: readStageCounts([stages]),
      gauges: {
        connections: sum((worker) => worker.connections),
        upstreamConnections: sum((worker) => worker.upstreamConnections),
        upstreamPending: sum((worker) => worker.upstreamPending),
        streams: {
          upgrade: sum((worker) => worker.streams.upgrade),
          events: sum((worker) => worker.streams.events),
          grpc: sum((worker) => worker.streams.grpc),
        },
        workerHeapUsedBytes: sum((worker) => worker.heapUsedBytes),
        eventLoopDelayMs: Math.max(0, ...gauges.map((worker) => worker.eventLoopDelayMs)),
        sheddingLevel: Math.max(0, ...gauges.map((worker) => worker.sheddingLevel)),
      },
      certificates,
      dns: supervisor.backends.names.counts,
      redis: redis.filter((state) => state !== 'unused').map((state) => state === 'up'),
      counters: { refused: sum((worker) => worker.refused), overflow: sum((worker) => worker.overflow) },
      eventLoopUtilisation: load.eventLoopUtilisation,
      state: { ...state, rejected: state.rejected.length },
      backends: supervisor.backends.samples(),
      maxBackends: config.metricsMaxRoutes,
      logDropped: output.dropped() + sum((worker) => worker.logDropped),
      version: VERSION,
      nowMs: Date.now(),
    };
  };
  let metrics: Promise<{ contentType: string; text(): Promise<string> }> | null = null;
  return async () => {
    metrics ??= import('../telemetry/metrics.ts').then(({ createMetrics }) => createMetrics(read));
    const { contentType, text } = await metrics;
    return { contentType, text: await text() };
  };
}
