/** What differs between databases: how to ask, how to stand alone, and the words of a few statements. */
export type SqlValue = string | number | null;
export type Row = Readonly<Record<string, unknown>>;
/** Placeholders are `?`. Rejects with StoreError. */
export type Query = (sql: string, values?: readonly SqlValue[]) => Promise<readonly Row[]>;

/** One step of the schema; the statements may be repeated without harm, as some databases can't take them back. */
export type Migration = readonly string[];

export interface SqlDriver {
  /** One statement by itself, with what was committed before it began. */
  readonly query: Query;
  /** All or nothing. */
  transaction<T>(run: (query: Query) => Promise<T>): Promise<T>;
  /** While `run` runs, no other process is in here. */
  exclusively<T>(run: (query: Query) => Promise<T>): Promise<T>;
  /** In order; their numbers are their places, from 1. */
  readonly migrations: readonly Migration[];
  /** A statement that answers `n`, how many tables there are of the name that is its value. */
  readonly tableCount: string;
  close(): Promise<void>;
}
