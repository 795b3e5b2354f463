/** What is asked of another server, and what it answers. */
export interface OutboundRequest {
  readonly method: string;
  /** Absolute, http or https. */
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  /** For the whole of it: name look-up, connection, head and body. 1 or more. */
  readonly timeoutMs: number;
  /** Longest body taken. */
  readonly maxBytes: number;
  /**
   * May be done twice: it is sent once more when its connection breaks before the answer, as kept-alive ones do that the server closes at
   * that moment. Default: GET and HEAD (RFC 9110 section 9.2.2).
   */
  readonly repeatable?: boolean;
}

export interface OutboundResponse {
  readonly status: number;
  /** Names in lower case; an array where a field came more than once. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
}

/** Who may be asked, as a log or a status may show it. */
export function describeRequest({ method, url }: OutboundRequest): string {
  const { origin, pathname } = new URL(url);
  return `${method} ${origin}${pathname}`;
}
