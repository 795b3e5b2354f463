/** What a balancer knows of an endpoint. */
export interface Candidate {
  /** 1 to 1000. */
  readonly weight: number;
  /** Requests in flight now. */
  readonly active: number;
}

/** Chooses among the candidates it was made for. Knows neither time nor I/O. */
export interface Balancer {
  /** Index of the chosen one; -1 where there is none. `key` is the hash of what decides (uint32); those that don't hash pass over it. */
  pick(key: number): number;
}
