/**
 * Run as a program, in the network that reaches the gateway: makes many routes, then one more again and again, each
 * time asking until it answers. Prints a `Report` as JSON on stdout.
 *
 *   node program.ts files FOLDER BACKEND_PORT GATEWAY BASE MORE
 *   node program.ts kubernetes NAMESPACE - GATEWAY[,GATEWAY…] BASE MORE      (KUBECONFIG names the cluster)
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { filesTarget } from './files.ts';
import { kubernetesTarget } from './kubernetes.ts';
import { Prober } from './prober.ts';
import type { Report, Target } from './target.ts';

const [kind, where = '', backendPort = '', gateways = '', base = '', more = ''] = process.argv.slice(2);
const target: Target = kind === 'kubernetes' ? await kubernetesTarget(where) : filesTarget(where, Number(backendPort));
const probers = gateways.split(',').map((url) => new Prober(url));
const [first] = probers;
if (first === undefined) throw new Error('no gateway given');
const wrong = new Map<string, number>();
const note = (what: string) => wrong.set(what, (wrong.get(what) ?? 0) + 1);
const nameOf = (index: number) => `route-${String(index).padStart(5, '0')}`;
const pathOf = (index: number) => `/${nameOf(index)}`;

const report = await main(Number(base), Number(more));
console.log(JSON.stringify(report));
for (const prober of probers) prober.close();

async function main(baseCount: number, moreCount: number): Promise<Report> {
  const startedAt = performance.now();
  await target.addMany(
    Array.from({ length: baseCount }, (_, index) => ({ name: nameOf(index), prefix: pathOf(index) })),
  );
  await Promise.all(probers.map((prober) => until200(prober, baseCount - 1, 180_000)));
  const baseMs = performance.now() - startedAt;
  await target.settled();

  const firstMs: number[] = [];
  const allMs: number[] = [];
  const watching = new AbortController();
  const watched = watchOld(baseCount, watching.signal);
  for (let index = baseCount; index < baseCount + moreCount; index++) {
    const addedAt = await target.add({ name: nameOf(index), prefix: pathOf(index) });
    const times = await Promise.all(probers.map(async (prober) => (await until200(prober, index, 30_000)) - addedAt));
    firstMs.push(times[0] ?? Number.NaN);
    allMs.push(Math.max(...times));
    // changes come one at a time, as by a person; without this every one would meet the tail of the one before
    await sleep(20);
  }
  watching.abort();
  const oldAnswers = await watched;
  return { baseMs, firstMs, allMs, wrong: Object.fromEntries(wrong), answers: oldAnswers + firstMs.length };
}

/** Asks every millisecond until 200; the time of that answer. Anything but 404 before it is noted as wrong. */
async function until200(prober: Prober, index: number, timeoutMs: number): Promise<number> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const status = await prober.ask(pathOf(index));
    const now = performance.now();
    if (status === '200') return now;
    if (status !== '404') note(`new route: ${status}`);
    if (now > deadline) throw new Error(`${pathOf(index)} answers ${status} after ${timeoutMs} ms`);
    await sleep(1);
  }
}

/** Routes that are there must answer 200 while others come. Resolves to the number of questions when `signal` aborts. */
async function watchOld(count: number, signal: AbortSignal): Promise<number> {
  const prober = new Prober(gateways.split(',')[0] ?? '');
  let asked = 0;
  while (!signal.aborted) {
    const status = await prober.ask(pathOf((asked * 7919) % count));
    if (status !== '200') note(`old route: ${status}`);
    asked++;
    await sleep(10);
  }
  prober.close();
  return asked;
}
