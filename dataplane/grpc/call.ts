/** What makes a request a gRPC call (github.com/grpc/grpc doc/PROTOCOL-HTTP2.md) or a gRPC-Web one (doc/PROTOCOL-WEB.md): its content type. */

export type CallKind = typeof NO_CALL | typeof GRPC | typeof WEB | typeof WEB_TEXT;
export const NO_CALL = 0;
export const GRPC = 1;
/** From here on: gRPC-Web. */
export const WEB = 2;
/** The same in base64. */
export const WEB_TEXT = 3;

const BASE = 'application/grpc';

/** Of a POST with this content-type; anything else is none. */
export function callKindOf(contentType: string | undefined): CallKind {
  if (contentType === undefined || !contentType.startsWith(BASE)) return NO_CALL;
  if (endsAt(contentType, BASE.length)) return GRPC;
  if (!contentType.startsWith('-web', BASE.length)) return NO_CALL;
  if (endsAt(contentType, BASE.length + 4)) return WEB;
  return contentType.startsWith('-text', BASE.length + 4) && endsAt(contentType, BASE.length + 9) ? WEB_TEXT : NO_CALL;
}

/** The name is over: nothing, `+proto` or parameters follow. */
function endsAt(text: string, at: number): boolean {
  return text.length === at || text[at] === '+' || text[at] === ';';
}
