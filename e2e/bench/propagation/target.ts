/** Where routes are written to: a folder, or a Kubernetes API server. */
export interface NewRoute {
  readonly name: string;
  readonly prefix: string;
}

export interface Target {
  /** Resolves when all are written; whoever reads them may not know them yet. */
  addMany(routes: readonly NewRoute[]): Promise<void>;
  /** Resolves to the moment (`performance.now()`) at which the write was confirmed. */
  add(route: NewRoute): Promise<number>;
  /** Resolves when the work that many new routes cause (their status) is done. */
  settled(): Promise<void>;
}

export interface Report {
  /** From the first of the base routes being written to the last one answering, milliseconds. */
  readonly baseMs: number;
  /** For each further route: from the confirmed write to the first 200 of the first data plane. */
  readonly firstMs: readonly number[];
  /** The same until the last of all data planes answers. */
  readonly allMs: readonly number[];
  /** Answers that were neither 404 before nor 200 after, by kind. */
  readonly wrong: Readonly<Record<string, number>>;
  readonly answers: number;
}
