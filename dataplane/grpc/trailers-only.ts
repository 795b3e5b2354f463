/** An answer of the gateway's own as a gRPC client understands it: 200 with the status among the header fields, and no body ("Trailers-Only"). */
import type { Headers } from '../pipeline/headers.ts';
import { type CallKind, GRPC, WEB } from './call.ts';
import { encodeMessage } from './status.ts';

/** Makes the header fields of a problem document those of a Trailers-Only response. `message`: one sentence. */
export function toTrailersOnly(headers: Headers, kind: CallKind, status: number, message: string): void {
  headers.set('content-type', contentTypeOf(kind));
  headers.set('grpc-status', String(status));
  if (message !== '') headers.set('grpc-message', encodeMessage(message));
  // gRFC A6: a client with a retry policy waits for as long.
  const after = headers.get('retry-after');
  if (after !== undefined && /^\d{1,6}$/.test(after)) headers.set('grpc-retry-pushback-ms', `${after}000`);
}

export function contentTypeOf(kind: CallKind): string {
  if (kind === GRPC) return 'application/grpc';
  return kind === WEB ? 'application/grpc-web+proto' : 'application/grpc-web-text+proto';
}
