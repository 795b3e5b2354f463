/** A section that can't be built: thrown by a stage's `create`, becomes the rejection of its resource. */
export class StageError extends Error {
  /** Path of the wrong field within the section. */
  readonly field: string;

  constructor(field: string, reason: string) {
    super(`${field}: ${reason}`);
    this.name = 'StageError';
    this.field = field;
  }
}
