/**
 * What is written while the events of one round of the event loop are worked off leaves together, one system call a socket: writing is the most
 * expensive thing done for a request, and it is cheaper one after the other. The peers are woken once, not for every answer, and the kernel's
 * code and ours do not take the caches from each other in turn. A wire that holds something registers here.
 */
export interface Flushable {
  flush(): void;
}

/** Sockets after which no more is waited for: what was written first would else be late where many events have come. */
const BATCH = 64;

// The global of that name is found anew each time.
const now = performance.now.bind(performance);

let depth = 0;
let scheduled = false;
/** Time of the running turn once somebody has asked for it. */
let stamp = 0;
const waiting: Flushable[] = [];

/** A turn is one callback of a socket; they nest. */
export function beginTurn(): void {
  depth++;
}

export function endTurn(): void {
  if (--depth > 0) return;
  stamp = 0;
  if (waiting.length >= BATCH) flushAll();
}

/** performance.now(), read once a turn: what happens within one read callback happens at one time. */
export function turnNow(): number {
  if (depth === 0) return now();
  if (stamp === 0) stamp = now();
  return stamp;
}

/** To be called once by a wire when what it holds goes from nothing to something. */
export function flushLater(wire: Flushable): void {
  waiting.push(wire);
  if (scheduled) return;
  scheduled = true;
  // Comes when all that the loop polled has been called.
  setImmediate(flushScheduled);
}

function flushScheduled(): void {
  scheduled = false;
  flushAll();
}

function flushAll(): void {
  for (let i = 0; i < waiting.length; i++) (waiting[i] as Flushable).flush();
  waiting.length = 0;
}
