/**
 * What a credential store does: consumers with groups, their API keys (SHA-256 only) and passwords (hashes only), and a log of changes by
 * which readers learn what to forget. Every implementation passes conformance.ts.
 */

export interface Consumer {
  readonly name: string;
  /** Sorted. */
  readonly groups: readonly string[];
}

export interface ConsumerSummary extends Consumer {
  readonly keys: number;
  readonly hasPassword: boolean;
  /** ms since the epoch. */
  readonly createdAtMs: number;
}

export interface PasswordRecord extends Consumer {
  /** As readPasswordHash takes it. */
  readonly hash: string;
}

export interface KeySummary {
  /** The first 12 digits of the hash: names a key without telling anything of it. */
  readonly id: string;
  readonly consumer: string;
  readonly label: string;
  /** ms since the epoch. */
  readonly createdAtMs: number;
}

export interface Change {
  readonly kind: 'key' | 'consumer';
  /** Hash of a key, or name of a consumer: of its groups, its password, or all of it. */
  readonly subject: string;
}

/** What changed after a sequence number, in one consistent look. */
export interface Changes {
  /** Made with the database: another one means that all that was read may be wrong. */
  readonly epoch: string;
  readonly sequence: number;
  /** Null: too many, or the log no longer reaches back that far. */
  readonly changes: readonly Change[] | null;
}

/** All reject with StoreError only. */
export interface CredentialReader {
  /** `hash`: SHA-256 of the key, hex. */
  findKey(hash: string): Promise<Consumer | null>;
  findPassword(consumer: string): Promise<PasswordRecord | null>;
  /** -1 asks for the state alone. */
  changesAfter(sequence: number): Promise<Changes>;
}

export interface CredentialStore extends CredentialReader {
  /** Brings the schema to this program's version; numbers of the steps taken. Any number may call it at once: each step is taken once. */
  migrate(): Promise<readonly number[]>;

  addConsumer(name: string, groups: readonly string[]): Promise<void>;
  setGroups(name: string, groups: readonly string[]): Promise<void>;
  /** With its keys and its password. */
  removeConsumer(name: string): Promise<void>;
  /** Sorted by name. */
  listConsumers(): Promise<readonly ConsumerSummary[]>;

  addKey(consumer: string, hash: string, label: string): Promise<void>;
  /** Sorted by age; of all consumers without a name. */
  listKeys(consumer?: string): Promise<readonly KeySummary[]>;
  /** By the beginning of its hash, 8 digits at least, which only one key may have. */
  revokeKey(id: string): Promise<KeySummary>;

  setPassword(consumer: string, hash: string): Promise<void>;
  removePassword(consumer: string): Promise<void>;

  close(): Promise<void>;
}

/** Further back the log does not reach. */
export const LOG_LENGTH = 10_000;
/** More changes at once are answered with null: the reader forgets everything. */
export const MAX_CHANGES = 1_000;
