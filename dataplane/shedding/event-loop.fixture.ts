/**
 * An event loop in simulation: what is ready is taken whole, handled one request after the other, and timers fire between two turns. Requests
 * come at a rate of their own (open loop), or each after the answer to the one before (closed loop).
 */

import { Overload } from './overload.ts';
import { CRITICAL } from './priority.ts';

export interface Simulation {
  /** ms. */
  readonly durationMs: number;
  readonly targetMs: number;
  /** Work of a request that is admitted, and of one that is not. */
  readonly admitMs: number;
  readonly shedMs: number;
  /** Requests a second at a time; absent: closed loop. */
  readonly rate?: (nowMs: number) => number;
  /** Closed loop: so many clients. */
  readonly clients?: number;
  /**
   * So many listening sockets, each of which accepts one connection a turn; in an open loop a request that finds no idle connection opens
   * one. Absent: connections are there.
   */
  readonly sockets?: number;
  /** Share of time the thread is on the CPU: the rest goes to others. */
  readonly cpuShare?: number;
  /** Of the nth request; absent: normal. */
  readonly priority?: (n: number) => number;
  /** Work that is none of requests, once at this time. */
  readonly stall?: { readonly atMs: number; readonly forMs: number };
}

export interface Handled {
  readonly atMs: number;
  readonly waitedMs: number;
  readonly admitted: boolean;
  readonly priority: number;
}

export interface Simulated {
  readonly handled: readonly Handled[];
  /** When it was last above 0. */
  readonly lastPressedMs: number;
}

const NORMAL = 1;
const ACCEPT_MS = 0.05;

export function simulate(simulation: Simulation): Simulated {
  const { durationMs, targetMs, admitMs, shedMs, rate, clients = 0, cpuShare = 1, sockets = 0, stall } = simulation;
  const random = randomOf(1);
  let nowMs = 0;
  let cpuMs = 0;
  let turns = 0;
  let idle = 0;
  const backlog = Array.from({ length: sockets }, (): number[] => []);
  const accepted = backlog.map(() => 0);
  let timer: { run: () => void; dueMs: number } | null = null;
  const overload = new Overload({
    now: () => nowMs,
    cpuMs: () => cpuMs,
    turns: () => turns,
    setTimer: (run, delayMs) => {
      timer = { run, dueMs: nowMs + delayMs };
    },
  });
  overload.accepted = accepted;
  const guard = overload.hold(targetMs);
  const handled: Handled[] = [];
  let lastPressedMs = 0;
  let waiting: number[] = sockets === 0 ? new Array<number>(clients).fill(0) : [];
  for (let i = 0; sockets > 0 && i < clients; i++) (backlog[i % sockets] as number[]).push(0);
  let nextMs = 0;
  let stalled = stall === undefined;
  const work = (ms: number): void => {
    cpuMs += ms;
    nowMs += ms / cpuShare;
  };
  const fireTimer = (): void => {
    const due: { run: () => void; dueMs: number } | null = timer;
    if (due === null || due.dueMs > nowMs) return;
    timer = null;
    due.run();
  };
  const come = (atMs: number): void => {
    if (sockets === 0 || idle > 0) {
      idle--;
      waiting.push(atMs);
    } else (backlog[Math.floor(random() * sockets)] as number[]).push(atMs);
  };
  /** What is accepted in a turn is read in the next. */
  const accept = (): number[] => {
    const read: number[] = [];
    for (const [i, queue] of backlog.entries()) {
      const cameMs = queue.shift();
      if (cameMs === undefined) continue;
      (accepted[i] as number)++;
      work(ACCEPT_MS);
      read.push(cameMs);
    }
    return read;
  };
  const arrive = (): void => {
    while (rate !== undefined && nextMs <= nowMs) {
      const perSecond = rate(nextMs);
      if (perSecond > 0) come(nextMs);
      nextMs += perSecond > 0 ? (1000 / perSecond) * (0.5 + random()) : 1;
    }
  };
  const sleep = (): void => {
    const timerMs = (timer as { dueMs: number } | null)?.dueMs ?? Number.POSITIVE_INFINITY;
    nowMs = Math.max(nowMs + 0.001, Math.min(timerMs, rate === undefined ? durationMs : nextMs));
  };
  while (nowMs < durationMs) {
    fireTimer();
    if (!stalled && stall !== undefined && nowMs >= stall.atMs) {
      stalled = true;
      work(stall.forMs);
    }
    arrive();
    turns++;
    const turn = waiting;
    waiting = accept();
    if (turn.length === 0 && waiting.length === 0) {
      sleep();
      continue;
    }
    for (const cameMs of turn) {
      const priority = simulation.priority?.(handled.length) ?? NORMAL;
      const startedMs = nowMs;
      const admitted = !(random() < guard.odds(priority, nowMs));
      if (overload.look().level > 0) lastPressedMs = nowMs;
      work(admitted ? admitMs : shedMs);
      handled.push({ atMs: startedMs, waitedMs: startedMs - cameMs, admitted, priority: Math.min(priority, CRITICAL) });
      idle++;
      if (rate === undefined) waiting.push(nowMs);
    }
  }
  return { handled, lastPressedMs };
}

/** mulberry32. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
