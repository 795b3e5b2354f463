/** One outage under load: well, then harmed, then well again, by itself. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import type { ProcessComponent } from '../components/component.ts';
import { type Asked, ConstantLoad, type Sample } from './load.ts';
import { printOutage } from './report.ts';
import { CONTROL_PATH, type Scene } from './scene.ts';

export type Harm = 'stop' | 'kill' | 'slow';
export const HARMS: readonly Harm[] = ['stop', 'kill', 'slow'];

/** How long it is well before and after, and how long the outage lasts, at least: as many requests of each kind must have their answers. */
const WELL_MS = 1_500;
const HARMED_MS = 3_000;
const REQUESTS = 20;
const SLACK_MS = 1_500;
/** Where the gateway itself takes this long, so may what it asks: its time-outs then end questions that nobody harmed. */
const STILL_MS = 300;
const RUNS = 4;
/** For all of them. */
export const OUTAGE_TIMEOUT_MS = 300_000;
/** A Route without a Policy. */
const CONTROL: Asked = { name: 'control', path: CONTROL_PATH };

export interface Outage {
  readonly scene: Scene;
  readonly component: ProcessComponent;
  readonly harm: Harm;
  readonly asked: readonly Asked[];
  /** What a request may wait for the component. */
  readonly timeoutMs: number;
  /** A Policy that says it, and what. */
  readonly policy: string;
  readonly says: RegExp;
  /** Runs between the recovery and the last phase. */
  readonly onRecovery?: () => Promise<void>;
}

export interface Phases {
  /** Requests sent while it was well; while it was harmed, from the moment the status said so; and from when the status was clean. */
  readonly before: (name: string) => readonly Sample[];
  readonly harmed: (name: string) => readonly Sample[];
  readonly after: (name: string) => readonly Sample[];
  readonly all: readonly Sample[];
}

/** Judges the first run during which this machine did not stand still, at the latest the last of RUNS. */
export async function runOutage(outage: Outage): Promise<Phases> {
  for (let run = 1; ; run++) {
    const load = await loadThrough(outage);
    const stoodStillMs = longest(load.samples.filter(({ name }) => name === CONTROL.name));
    if (stoodStillMs > STILL_MS && run < RUNS) {
      console.log(`once more: a request that needs nothing but the gateway took ${Math.ceil(stoodStillMs)} ms`);
      continue;
    }
    // Beyond its time-out a request waits only for what this machine does besides.
    expect(longest(load.samples)).toBeLessThan(outage.timeoutMs + stoodStillMs + SLACK_MS);
    return {
      before: (name) => load.of('well', name),
      harmed: (name) => load.of(outage.harm, name),
      after: (name) => load.of('well again', name),
      all: load.samples,
    };
  }
}

async function loadThrough({ scene, component, harm, asked, policy, says, onRecovery }: Outage): Promise<ConstantLoad> {
  await scene.untilWell();
  // On a machine that stands still for seconds a worker may have been given up while it started.
  const restarts = () => scene.metric('tidegate_worker_restarts_total');
  const before = await restarts();
  const load = new ConstantLoad(scene.url, [...asked, CONTROL], 'well');
  try {
    await sleep(WELL_MS);
    await load.until('well', REQUESTS);
    // What was sent in one phase gets nothing of the next.
    load.phase('breaking');
    await load.settled();
    await harming(component, harm);
    await scene.untilTrouble(policy, says);
    load.phase(harm);
    await sleep(HARMED_MS);
    await load.until(harm, REQUESTS);
    load.phase('recovering');
    await load.settled();
    if (harm === 'slow') component.resume();
    else await component.restart();
    await scene.untilWell();
    await onRecovery?.();
    load.phase('well again');
    await sleep(WELL_MS);
    await load.until('well again', REQUESTS);
  } finally {
    await load.stop();
  }
  printOutage(`${component.name}: ${harm}`, load.samples);
  // Every request has an answer, and nothing was started again: neither a worker nor the program.
  expect(load.samples.filter(({ status }) => status === 0)).toEqual([]);
  expect(await restarts()).toBe(before);
  expect(statuses(load.samples.filter(({ name }) => name === CONTROL.name))).toEqual([200]);
  return load;
}

function longest(samples: readonly Sample[]): number {
  return Math.max(...samples.map(({ ms }) => ms));
}

async function harming(component: ProcessComponent, harm: Harm): Promise<void> {
  if (harm === 'stop') await component.shutDown();
  else if (harm === 'kill') await component.kill();
  else await component.pause();
}

/** The statuses there were, each once. */
export function statuses(samples: readonly Sample[]): number[] {
  return [...new Set(samples.map(({ status }) => status))].sort();
}
