/** What a parser makes of the bytes of one connection, in one form for all parsers that are compared. All text is one character a byte. */

export interface Message {
  /** Requests: the method. Responses: empty. */
  readonly method: string;
  /** Requests: the target as it came. Responses: empty. */
  readonly target: string;
  /** Responses: the status. Requests: 0. */
  readonly status: number;
  /** 0 or 1: HTTP/1.0, HTTP/1.1. */
  readonly minor: number;
  /** Name, value, …; names in lower case. */
  readonly fields: readonly string[];
  body: string;
  trailers: string[];
  complete: boolean;
}

export interface Reading {
  /** In their order; only the last may be incomplete. */
  readonly messages: Message[];
  /** Why reading ended: a code of the parser; null: the input ended, or the connection was to be closed. */
  refused: string | null;
  /** The messages end here by right: Connection: close, an upgrade. What follows is not read. */
  closed: boolean;
}

export const emptyReading = (): Reading => ({ messages: [], refused: null, closed: false });

export type Read = (pieces: readonly Buffer[]) => Reading;

/** `bytes` cut at the offsets `cuts`, in whatever order they are. */
export function cut(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const edges = [...new Set([...cuts.filter((at) => at > 0 && at < bytes.length), bytes.length])].sort((a, b) => a - b);
  let from = 0;
  return edges.map((edge) => {
    const piece = bytes.subarray(from, edge);
    from = edge;
    return piece;
  });
}
