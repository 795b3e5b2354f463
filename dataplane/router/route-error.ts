/** A rule that can't be routed: thrown while it is compiled, before any router is touched. */
export class RouteError extends Error {
  /** Path of the wrong field within the rule. */
  readonly field: string;

  constructor(field: string, reason: string) {
    super(`${field}: ${reason}`);
    this.name = 'RouteError';
    this.field = field;
  }
}
