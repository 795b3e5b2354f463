/** What a look-up of a name can come to. */

export type Answer<T> =
  | { readonly kind: 'found'; readonly value: T; readonly ttlMs: number }
  /** There is no such name, or it has no records of this type. */
  | { readonly kind: 'none' }
  /** Nothing is known: no server answered, or none could tell. */
  | { readonly kind: 'failed'; readonly code: string };

/** By family; null: this family could not be asked about. */
export interface Addresses {
  readonly v4: readonly string[] | null;
  readonly v6: readonly string[] | null;
}

/** One SRV record (RFC 2782). */
export interface ServiceRecord {
  /** A whole name without a dot at its end, or an address. */
  readonly target: string;
  readonly port: number;
  readonly priority: number;
  readonly weight: number;
}

/** Addresses and records of one answer that are used; of more, the first by order. */
export const MAX_ADDRESSES = 256;
export const MAX_RECORDS = 256;

export interface NameResolver {
  addresses(name: string): Promise<Answer<Addresses>>;
  services(name: string): Promise<Answer<readonly ServiceRecord[]>>;
}
