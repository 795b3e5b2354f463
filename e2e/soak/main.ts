/**
 * Full load of every protocol for some minutes: what resident memory does, and whether anything fails. One worker of the data plane;
 * `make soak ARGS="--minutes 10"`. Exits 1 when a request failed or memory grew (curve.ts).
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { cpuSeconds } from '../bench/measure.ts';
import { selfSigned } from '../engine/certificate.ts';
import { startGateway } from '../engine/gateway.ts';
import { startBackend } from './backend.ts';
import { type Sample, verdictOn, WARM_UP_MINUTES } from './curve.ts';
import { Load } from './load.ts';
import { grpc } from './loads/grpc.ts';
import { http1, TRUSTING } from './loads/http1.ts';
import { overHttp2 } from './loads/http2.ts';
import { streams } from './loads/streams.ts';
import { wrk, wrkPath } from './loads/wrk.ts';

const { values } = parseArgs({ options: { minutes: { type: 'string', default: '10' } } });
const minutes = Number(values.minutes);
if (!(minutes >= 1 && minutes <= 24 * 60)) throw new Error('--minutes: from 1 to 1440');
const SAMPLE_SECONDS = 2;
const END_MS = 20_000;

const backend = await startBackend();
const gateway = await startGateway(backend.port, backend.callsPort, { certificate: selfSigned(TRUSTING.servername) });
// What clients in JavaScript ask takes a third of the gateway's core.
const fast = wrkPath();
if (fast === null) console.log('without wrk: the load is bound by its clients');
const load = new Load([
  http1(gateway.http, gateway.https),
  overHttp2(gateway.h2c, gateway.https),
  grpc(gateway.h2c),
  streams(gateway.http, gateway.https),
  ...(fast === null ? [] : [wrk(fast, gateway.http, gateway.https)]),
]);
const samples: Sample[] = [];
const before = { done: 0, cpu: cpuSeconds(gateway.pid), atMs: performance.now() };

function show(minute: number, mib: number): void {
  const cpu = cpuSeconds(gateway.pid);
  const nowMs = performance.now();
  const seconds = (nowMs - before.atMs) / 1000;
  const perSecond = Math.round((load.done - before.done) / seconds);
  const busy = Math.round(((cpu - before.cpu) / seconds) * 100);
  console.log(
    `${minute.toFixed(1).padStart(6)} min ${mib.toFixed(1).padStart(7)} MiB ${String(load.done).padStart(9)} done ${String(load.failed).padStart(5)} failed ${String(perSecond).padStart(6)}/s  ${busy} % of a core`,
  );
  Object.assign(before, { done: load.done, cpu, atMs: nowMs });
}

try {
  show(0, gateway.residentMiB());
  const startedAtMs = performance.now();
  load.start();
  for (let i = 1; i * SAMPLE_SECONDS <= minutes * 60; i++) {
    await sleep(startedAtMs + i * SAMPLE_SECONDS * 1000 - performance.now());
    const sample = { minute: (i * SAMPLE_SECONDS) / 60, mib: gateway.residentMiB() };
    samples.push(sample);
    if ((i * SAMPLE_SECONDS) % 60 === 0 || i * SAMPLE_SECONDS === 30) show(sample.minute, sample.mib);
  }
  await load.stop(END_MS);
  for (const [name, { done, failed }] of load.counts)
    console.log(`${name.padEnd(26)} ${String(done).padStart(9)} done ${String(failed).padStart(5)} failed`);
  const { fittedMib, quartersMib, boundMib, flat } = verdictOn(samples, minutes);
  const signed = (mib: number) => `${mib >= 0 ? '+' : ''}${mib.toFixed(1)}`;
  console.log(
    `since minute ${Math.min(WARM_UP_MINUTES, minutes / 2)}: ${signed(fittedMib)} MiB by the line, ${signed(quartersMib)} MiB from the first quarter to the last; bound ${boundMib.toFixed(1)} MiB: ${flat ? 'flat' : 'GROWN'}`,
  );
  for (const failure of load.failures) console.log(`FAILED ${failure}`);
  process.exitCode = load.failed > 0 || !flat ? 1 : 0;
} finally {
  await gateway.stop();
  await backend.close();
}
// Sockets of clients that were cut may linger.
process.exit();
