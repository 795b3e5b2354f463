/** Times of the week in any time zone, as one look-up a request. */
import type { TimeWindow } from '../../snapshot/sections/authorization.ts';

const MINUTE_MS = 60_000;
const DAY = 1440;
const WEEK = 7 * DAY;

/** Whether a moment (ms since the epoch) lies in one of the windows. Throws RangeError for a time zone that is none. */
export function compileTimes(windows: readonly TimeWindow[]): (epochMs: number) => boolean {
  const zones = new Map<string, Zone>();
  for (const window of windows) {
    let zone = zones.get(window.timezone);
    if (zone === undefined) {
      zone = { minuteOfWeek: createClock(window.timezone), open: new Uint8Array(WEEK) };
      zones.set(window.timezone, zone);
    }
    for (const day of window.days) markOpen(zone.open, day * DAY, window);
  }
  const all = [...zones.values()];
  return (epochMs) => all.some(({ minuteOfWeek, open }) => open[minuteOfWeek(epochMs)] === 1);
}

interface Zone {
  readonly minuteOfWeek: (epochMs: number) => number;
  /** 1 for each minute of the week that is in a window, from Monday 00:00. */
  readonly open: Uint8Array;
}

function markOpen(open: Uint8Array, midnight: number, { from, to }: TimeWindow): void {
  const end = midnight + (to > from ? to : to + DAY);
  for (let minute = midnight + from; minute < end; minute++) open[minute % WEEK] = 1;
}

/** Asks for the local time once a minute: a DateTimeFormat takes microseconds. Offsets of zones change on whole minutes. */
function createClock(timeZone: string): (epochMs: number) => number {
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone,
    weekday: 'short',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  });
  let known = Number.NaN;
  let minuteOfWeek = 0;
  return (epochMs) => {
    const minute = Math.floor(epochMs / MINUTE_MS);
    if (minute !== known) {
      const parts = new Map(format.formatToParts(minute * MINUTE_MS).map(({ type, value }) => [type, value]));
      const day = WEEKDAYS.indexOf(parts.get('weekday') ?? '');
      minuteOfWeek = day * DAY + Number(parts.get('hour')) * 60 + Number(parts.get('minute'));
      known = minute;
    }
    return minuteOfWeek;
  };
}

const WEEKDAYS = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'];
