/** What HTTP/2 carries of a response, as the engine has it. */
import { createHash } from 'node:crypto';
import type { ResponseHead } from '../../codec/response-head.ts';

const DIGITS = /^\d{1,15}$/;
/** RFC 6455 section 1.3. */
const WEB_SOCKET_GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/**
 * Fills `head` from `raw`: name, value, … with `:status` among them. Fields of a connection don't come: nghttp2 takes a message that has
 * one for malformed (RFC 9113 section 8.2.2). False: no acceptable head.
 */
export function readHead(raw: readonly string[], head: ResponseHead): boolean {
  const fields: string[] = [];
  head.status = 0;
  head.major = 2;
  head.minor = 0;
  head.contentLength = -1;
  head.chunked = false;
  head.upgrade = '';
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i] as string;
    const value = raw[i + 1] as string;
    if (name === ':status') head.status = Number(value);
    else if (name === 'content-length') {
      if (!DIGITS.test(value)) return false;
      head.contentLength = Number(value);
    } else fields.push(name, value);
  }
  head.fields = fields;
  // RFC 9113 section 8.6.
  return head.status >= 100 && head.status < 600 && head.status !== 101;
}

/** Makes of the answer to an extended CONNECT the 101 that it stands for (RFC 8441 section 5.1). `key`: of the client's handshake, if it had one. */
export function asUpgrade(head: ResponseHead, key: string | undefined): void {
  head.status = 101;
  head.upgrade = 'websocket';
  head.contentLength = -1;
  if (key === undefined) return;
  head.fields.push(
    'sec-websocket-accept',
    createHash('sha1')
      .update(key + WEB_SOCKET_GUID)
      .digest('base64'),
  );
}
