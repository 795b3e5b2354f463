/** What a balancer knows of an endpoint. */
export interface Candidate {
  /** 1 to 1000. */
  readonly weight: number;
  /** Requests in flight now. */
  readonly active: number;
}

/** Chooses among the candidates it was made for. Knows neither time nor I/O. */
export interface Balancer {
  /** Index of the chosen one; -1 where there is none. */
  pick(): number;
}
