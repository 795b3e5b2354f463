/**
 * One coarse timer wheel a worker in place of a timer a request (Varghese and Lauck's hashed wheel, lazily re-armed).
 *
 * Deadlines fire at most one tick late and never early. Moving a deadline into the future is one assignment: the entry stays in its
 * slot and is put where it belongs when that slot comes up. So a connection that is armed anew for each request is moved in the
 * wheel only as often as its time-out passes.
 */
import { turnNow } from './turn.ts';

export interface TimerOwner {
  onTimeout(timer: Timer): void;
}

/** A deadline that can be armed again and again. */
export class Timer {
  readonly owner: TimerOwner;
  /** In the wheel's time; 0: not armed. */
  deadlineMs = 0;
  /** The wheel's own: its slot's tick and its neighbours there. */
  tick = -1;
  next: Timer | null = null;
  previous: Timer | null = null;

  constructor(owner: TimerOwner) {
    this.owner = owner;
  }
}

export interface WheelOptions {
  /** ms, default 100: how late a deadline may fire. */
  readonly tickMs?: number;
  /** Monotonic ms; default performance.now, read once a turn (turn.ts). */
  readonly now?: () => number;
  /** False: nothing advances the wheel but `advance` (tests). Default true. */
  readonly automatic?: boolean;
}

const SLOTS = 1024;

export class TimerWheel {
  readonly now: () => number;
  private readonly tickMs: number;
  private readonly automatic: boolean;
  private readonly slots: (Timer | null)[] = new Array<Timer | null>(SLOTS).fill(null);
  private current: number;
  private armed = 0;
  private interval: NodeJS.Timeout | null = null;

  constructor(options: WheelOptions = {}) {
    this.tickMs = options.tickMs ?? 100;
    this.now = options.now ?? turnNow;
    this.automatic = options.automatic ?? true;
    this.current = Math.floor(this.now() / this.tickMs);
  }

  /** Number of timers linked into the wheel. */
  get size(): number {
    return this.armed;
  }

  /** Calls `timer.owner.onTimeout` once `delayMs` (> 0) after `fromMs` (the wheel's time, default now). */
  arm(timer: Timer, delayMs: number, fromMs = this.now()): void {
    timer.deadlineMs = fromMs + delayMs;
    if (timer.tick >= 0) {
      // Its slot comes up before the deadline: looked at again then.
      if (timer.tick * this.tickMs <= timer.deadlineMs) return;
      this.unlink(timer);
    }
    this.link(timer);
  }

  /** Takes the deadline away. The timer stays in its slot, to be dropped or armed again by then. */
  disarm(timer: Timer): void {
    timer.deadlineMs = 0;
  }

  /** Takes the timer out of the wheel: for an owner that goes away for good. */
  drop(timer: Timer): void {
    timer.deadlineMs = 0;
    if (timer.tick >= 0) this.unlink(timer);
  }

  /** Fires what is due. */
  advance(): void {
    const nowMs = this.now();
    const target = Math.floor(nowMs / this.tickMs);
    if (target - this.current > SLOTS) this.current = target - SLOTS;
    while (this.current < target) {
      this.current++;
      this.fire(this.current & (SLOTS - 1), nowMs);
    }
  }

  stop(): void {
    if (this.interval !== null) clearInterval(this.interval);
    this.interval = null;
  }

  private fire(slot: number, nowMs: number): void {
    let timer = this.slots[slot] as Timer | null;
    this.slots[slot] = null;
    while (timer !== null) {
      const next: Timer | null = timer.next;
      if (next !== null) next.previous = null;
      timer.next = null;
      timer.tick = -1;
      this.armed--;
      if (timer.deadlineMs > nowMs) this.link(timer);
      else if (timer.deadlineMs > 0) {
        timer.deadlineMs = 0;
        // The chain goes on from the slot, as the owner may drop the one that would be next.
        this.slots[slot] = next;
        timer.owner.onTimeout(timer);
        timer = this.slots[slot] as Timer | null;
        this.slots[slot] = null;
        continue;
      }
      timer = next;
    }
    if (this.armed === 0) this.stop();
  }

  private link(timer: Timer): void {
    if (this.armed === 0) this.current = Math.floor(this.now() / this.tickMs);
    let tick = Math.ceil(timer.deadlineMs / this.tickMs);
    if (tick <= this.current) tick = this.current + 1;
    // Beyond the horizon: into the last slot, and from there onwards.
    if (tick - this.current >= SLOTS) tick = this.current + SLOTS - 1;
    const slot = tick & (SLOTS - 1);
    const head = this.slots[slot] as Timer | null;
    timer.tick = tick;
    timer.next = head;
    timer.previous = null;
    if (head !== null) head.previous = timer;
    this.slots[slot] = timer;
    this.armed++;
    if (this.interval === null && this.automatic) {
      this.interval = setInterval(() => this.advance(), this.tickMs);
      this.interval.unref();
    }
  }

  private unlink(timer: Timer): void {
    if (timer.previous !== null) timer.previous.next = timer.next;
    else this.slots[timer.tick & (SLOTS - 1)] = timer.next;
    if (timer.next !== null) timer.next.previous = timer.previous;
    timer.next = null;
    timer.previous = null;
    timer.tick = -1;
    this.armed--;
  }
}

/** The wheel of a worker: advances by itself while something is armed, and keeps no process alive. */
export function startWheel(options: WheelOptions = {}): TimerWheel {
  return new TimerWheel(options);
}
