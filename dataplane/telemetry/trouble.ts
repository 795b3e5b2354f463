/** What runs and can't do its work: one line a policy, or a backend, as long as it holds and is in use. */
export interface Trouble {
  /** Of the policy or backend resource. */
  readonly id: string;
  readonly message: string;
}
