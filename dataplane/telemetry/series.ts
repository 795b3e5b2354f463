/**
 * Counters with labels that come from the configuration, bounded: beyond `maxRoutes` routes all others count as `_other`, and codes are
 * the program's own. A worker counts here and hands over a copy when asked; the supervisor adds workers up.
 */
import { MAX_STATUS } from '../grpc/status.ts';
import { CLASS_COUNT, classOf } from './meter.ts';

export const OTHER_ROUTE = '_other';
/** Requests that matched no route. */
export const NO_ROUTE = '_none';
/** Codes are ours and few; this only keeps a mistake from growing without end. */
const MAX_CODES = 256;

export interface SeriesImage {
  /** Requests by route and class (see `classOf`), and after them the sum of their durations in ms. */
  readonly routes: Map<string, Float64Array>;
  /** Requests by reason code. */
  readonly codes: Map<string, number>;
  /** gRPC calls by route and status (0 to 16); only routes that had any. */
  readonly grpc: Map<string, Float64Array>;
}

const DURATION_SUM = CLASS_COUNT;

export class Series {
  readonly #maxRoutes: number;
  readonly #routes = new Map<string, Float64Array>();
  readonly #codes = new Map<string, number>();
  readonly #grpc = new Map<string, Float64Array>();

  constructor(maxRoutes: number) {
    this.#maxRoutes = maxRoutes;
  }

  /** `route` is `<namespace>/<name>`; `code` empty where all went well; `grpcStatus` below 0 where there is none. */
  count(route: string, status: number, durationMs: number, code: string, grpcStatus: number): void {
    const row = this.#routes.get(route) ?? this.#row(route);
    (row[classOf(status)] as number)++;
    (row[DURATION_SUM] as number) += durationMs;
    if (grpcStatus >= 0) this.#countCall(route, grpcStatus);
    if (code !== '') {
      const key = this.#codes.size < MAX_CODES || this.#codes.has(code) ? code : OTHER_ROUTE;
      this.#codes.set(key, (this.#codes.get(key) ?? 0) + 1);
    }
  }

  /** After `count`'s own row is there: a route without one is among the others. */
  #countCall(route: string, grpcStatus: number): void {
    const label = this.#routes.has(route) ? route : OTHER_ROUTE;
    let row = this.#grpc.get(label);
    if (row === undefined) {
      row = new Float64Array(MAX_STATUS + 1);
      this.#grpc.set(label, row);
    }
    (row[grpcStatus] as number)++;
  }

  #row(route: string): Float64Array {
    if (!isReserved(route) && named(this.#routes) >= this.#maxRoutes) {
      return this.#routes.get(OTHER_ROUTE) ?? this.#row(OTHER_ROUTE);
    }
    const row = new Float64Array(CLASS_COUNT + 1);
    this.#routes.set(route, row);
    return row;
  }

  /** Lets go of routes that are no more, so that new ones get a label: their counts move to `_other`. */
  keep(exists: (route: string) => boolean): void {
    for (const [route, row] of this.#routes) {
      if (isReserved(route) || exists(route)) continue;
      this.#routes.delete(route);
      addRow(this.#routes.get(OTHER_ROUTE) ?? this.#row(OTHER_ROUTE), row);
      const calls = this.#grpc.get(route);
      if (calls === undefined) continue;
      this.#grpc.delete(route);
      addCalls(this.#grpc, OTHER_ROUTE, calls);
    }
  }

  image(): SeriesImage {
    return { routes: new Map(this.#routes), codes: new Map(this.#codes), grpc: new Map(this.#grpc) };
  }
}

/** The sum of several workers' counts. `maxRoutes` holds for the sum too. */
export function addSeries(images: Iterable<SeriesImage>, maxRoutes: number): SeriesImage {
  const routes = new Map<string, Float64Array>();
  const codes = new Map<string, number>();
  const grpc = new Map<string, Float64Array>();
  const rowOf = (route: string): Float64Array => {
    const known = routes.get(route);
    if (known !== undefined) return known;
    if (!isReserved(route) && named(routes) >= maxRoutes) return rowOf(OTHER_ROUTE);
    const row = new Float64Array(CLASS_COUNT + 1);
    routes.set(route, row);
    return row;
  };
  for (const image of images) {
    for (const [route, row] of image.routes) addRow(rowOf(route), row);
    for (const [code, count] of image.codes) codes.set(code, (codes.get(code) ?? 0) + count);
    for (const [route, row] of image.grpc) addCalls(grpc, routes.has(route) ? route : OTHER_ROUTE, row);
  }
  return { routes, codes, grpc };
}

/** Sum of the durations in ms of a row. */
export function durationSumMs(row: Float64Array): number {
  return row[DURATION_SUM] ?? 0;
}

function isReserved(route: string): boolean {
  return route === OTHER_ROUTE || route === NO_ROUTE;
}

function named(routes: ReadonlyMap<string, unknown>): number {
  return routes.size - (routes.has(OTHER_ROUTE) ? 1 : 0) - (routes.has(NO_ROUTE) ? 1 : 0);
}

function addCalls(to: Map<string, Float64Array>, route: string, from: Float64Array): void {
  const row = to.get(route) ?? new Float64Array(from.length);
  addRow(row, from);
  to.set(route, row);
}

function addRow(to: Float64Array, from: Float64Array): void {
  for (let i = 0; i < to.length; i++) (to[i] as number) += from[i] ?? 0;
}
