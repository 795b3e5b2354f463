/** A stage that runs and can't do its work: one line a policy, as long as it holds and the stage is in use. */
export interface Trouble {
  /** Of the policy resource. */
  readonly id: string;
  readonly message: string;
}
