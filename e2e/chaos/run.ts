/** One fault under the load that goes on all the time: from its start until it is overcome. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Fault } from './faults.ts';
import { type Attempt, broken, type Look, type Side, sideOf, type Times } from './figures.ts';
import type { Backend } from './fleet.ts';
import type { Gateway } from './gateway.ts';
import { now, type OpenLoop } from './open-loop.ts';
import { GUARDED, PLAIN, pathOf } from './policy.ts';

export interface Scene {
  readonly gateway: Gateway;
  readonly backends: readonly Backend[];
  readonly loads: { readonly plain: OpenLoop; readonly guarded: OpenLoop };
  readonly signal: AbortSignal;
}

export interface Outcome {
  readonly fault: Fault;
  readonly backend: string;
  readonly lastedMs: number;
  readonly plain: Side;
  readonly guarded: Side;
  /** The longest this machine, or this process, stood still meanwhile. */
  readonly stoodStillMs: number;
  /** Empty: all that has to hold does. */
  readonly broken: readonly string[];
}

/** How often the gateway is asked how the endpoints look. */
const LOOK_EVERY_MS = 20;
/** How long all may take to be well before a fault, and an endpoint to be readmitted. */
const WELL_WITHIN_MS = 15_000;
const READMITTED_WITHIN_MS = 15_000;
/** What is sent so long after the readmission is looked at too. */
const AFTERWARDS_MS = 800;

export async function runFault(scene: Scene, fault: Fault, backend: Backend, lastMs: number): Promise<Outcome> {
  const { backends, gateway, loads, signal } = scene;
  const faulty = fault.everywhere ? backends : [backend];
  await untilWell(scene);
  for (const one of backends) one.forgetArrivals();
  for (const load of Object.values(loads)) load.forget(now());
  const looks: Look[] = [];
  const looking = new AbortController();
  const watch = look(gateway, faulty, looks, looking.signal);
  const injectedMs = now();
  await Promise.all(faulty.map((one) => fault.inject(one)));
  await sleep(Math.max(0, injectedMs + lastMs - now()), undefined, { signal });
  await Promise.all(faulty.map((one) => fault.heal(one)));
  const healedMs = now();
  await within(READMITTED_WITHIN_MS, signal, () => {
    const back = (name: string, load: OpenLoop) =>
      attemptsAt(faulty, name, load).some(({ dueMs }) => dueMs >= healedMs);
    return back(PLAIN, loads.plain) && back(GUARDED, loads.guarded);
  });
  await sleep(AFTERWARDS_MS, undefined, { signal });
  const overMs = now();
  looking.abort();
  await Promise.all([watch, loads.plain.settled(overMs), loads.guarded.settled(overMs)]);
  const times: Times = { injectedMs, healedMs, overMs };
  const side = (name: string, load: OpenLoop, seen: readonly Look[]) =>
    sideOf({
      samples: load.samples,
      attempts: attemptsAt(backends, name, load),
      faulty: attemptsAt(faulty, name, load),
      looks: seen,
      times,
    });
  const plain = side(PLAIN, loads.plain, []);
  const guarded = side(GUARDED, loads.guarded, looks);
  const stoodStillMs = Math.max(loads.plain.longestGapMs, loads.guarded.longestGapMs);
  return {
    stoodStillMs,
    ...{ fault, backend: fault.everywhere ? 'all' : backend.name, lastedMs: healedMs - injectedMs, plain, guarded },
    broken: broken(fault, plain, guarded),
  };
}

/** Waits until no endpoint is blocked any more and each gets requests. */
async function untilWell({ gateway, backends, loads, signal }: Scene): Promise<void> {
  const sinceMs = now();
  const well = await within(WELL_WITHIN_MS, signal, async () => {
    const endpoints = await gateway.endpoints(GUARDED);
    if (endpoints.some(({ blocked }) => blocked.length > 0)) return false;
    return backends.every((one) => attemptsAt([one], GUARDED, loads.guarded).some(({ atMs }) => atMs >= sinceMs));
  });
  if (!well) throw new Error('the endpoints do not get well');
}

async function look(gateway: Gateway, faulty: readonly Backend[], looks: Look[], signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const endpoints = await gateway.endpoints(GUARDED).catch(() => []);
    const blocked = endpoints
      .filter(({ name }) => faulty.some((one) => one.name === name))
      .flatMap((one) => one.blocked);
    looks.push({ atMs: now(), blocked: [...new Set(blocked)] });
    await sleep(LOOK_EVERY_MS);
  }
}

/** False when `check` was not true in time. */
async function within(ms: number, signal: AbortSignal, check: () => Promise<boolean> | boolean): Promise<boolean> {
  const untilMs = now() + ms;
  while (!(await check())) {
    if (now() > untilMs) return false;
    await sleep(LOOK_EVERY_MS, undefined, { signal });
  }
  return true;
}

function attemptsAt(backends: readonly Backend[], name: string, load: OpenLoop): Attempt[] {
  const prefix = `${pathOf(name)}/`;
  return backends.flatMap((backend) =>
    backend
      .arrivals()
      .filter(({ path }) => path.startsWith(prefix))
      .map(({ atMs, path }) => ({ atMs, dueMs: load.dueMs(Number(path.slice(prefix.length))) })),
  );
}
