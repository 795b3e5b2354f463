/** What backends and the one who drives them agree upon. */

export type Mode =
  | 'well'
  /** Takes 20 times as long. */
  | 'slow'
  /** RST after half of the body. */
  | 'reset'
  /** Answers with bytes that are no HTTP. */
  | 'garbage'
  /** Reads and never answers. */
  | 'silent'
  /** Closes a connection when its second request is there. */
  | 'closing'
  /** 503 to everything but health checks. */
  | 'storm'
  /** Gone, with all connections, and back, every 300 ms. */
  | 'flap'
  /** Listens anew, with room for one connection that nobody accepted yet; to be followed by SIGSTOP. */
  | 'backlog';

/** Asked for, and sent back when done. */
export interface Command {
  readonly mode: Mode;
}

/** A response takes so long. */
export const WELL_MS = 5;
export const SLOW_MS = 20 * WELL_MS;
export const FLAP_MS = 300;
export const HEALTH_PATH = '/healthz';

/** A request that reached a backend. */
export interface Arrival {
  /** ms since the epoch. */
  readonly atMs: number;
  readonly path: string;
}

/** One line each in a file, so that none is lost when the process is killed. */
export function encodeArrival({ atMs, path }: Arrival): string {
  return `${atMs.toFixed(3)} ${path}\n`;
}

/** The last line may still be being written: without its end it does not count. */
export function decodeArrivals(text: string): Arrival[] {
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => {
      const space = line.indexOf(' ');
      return { atMs: Number(line.slice(0, space)), path: line.slice(space + 1) };
    });
}
