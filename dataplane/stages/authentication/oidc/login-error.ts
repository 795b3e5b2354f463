/** A login, or its renewal, that did not come about. */
export class LoginError extends Error {
  /** `refused`: the provider says no. `unavailable`: nobody said anything of use; it may be different in a moment. */
  readonly kind: 'refused' | 'unavailable';
  /** The client can do nothing about it: said to the operator. */
  readonly ours: boolean;

  constructor(kind: LoginError['kind'], message: string, options: { cause?: unknown; ours?: boolean } = {}) {
    super(message, { cause: options.cause });
    this.name = 'LoginError';
    this.kind = kind;
    this.ours = options.ours ?? false;
  }
}
