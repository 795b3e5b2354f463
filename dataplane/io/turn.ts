/**
 * What is written during one read callback leaves in one system call a socket. A wire that holds text registers here; the outermost
 * callback's end flushes all of them. Outside of a callback the next tick does.
 */
export interface Flushable {
  flush(): void;
}

// The global of that name is found anew each time.
const now = performance.now.bind(performance);

let depth = 0;
let scheduled = false;
/** Time of the running turn once somebody has asked for it. */
let stamp = 0;
const waiting: Flushable[] = [];

export function beginTurn(): void {
  depth++;
}

export function endTurn(): void {
  if (--depth > 0) return;
  stamp = 0;
  if (waiting.length > 0) flushAll();
}

/** performance.now(), read once a turn: what happens within one read callback happens at one time. */
export function turnNow(): number {
  if (depth === 0) return now();
  if (stamp === 0) stamp = now();
  return stamp;
}

/** To be called once by a wire when its held text goes from empty to something. */
export function flushLater(wire: Flushable): void {
  waiting.push(wire);
  if (depth === 0 && !scheduled) {
    scheduled = true;
    process.nextTick(flushAll);
  }
}

function flushAll(): void {
  scheduled = false;
  for (let i = 0; i < waiting.length; i++) (waiting[i] as Flushable).flush();
  waiting.length = 0;
}
