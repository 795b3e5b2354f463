/** What HTTP/2 carries of a response, as the engine has it. */
import { createHash } from 'node:crypto';
import type { ResponseHead } from '../../codec/response-head.ts';

const DIGITS = /^\d{1,15}$/;
const STATUS = /^[1-5]\d\d$/;
/** RFC 6455 section 1.3. */
const WEB_SOCKET_GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/**
 * Fills `head` from `raw`: name, value, …. False: malformed (RFC 9113 sections 8.1.1, 8.2.2, 8.3.2 and 8.6): a field of a connection, no
 * `:status` or another pseudo-field, two lengths, or a 101.
 */
export function readHead(raw: readonly string[], head: ResponseHead): boolean {
  const status = raw[1];
  if (raw[0] !== ':status' || status === undefined || !STATUS.test(status) || status === '101') return false;
  const fields: string[] = [];
  head.status = Number(status);
  head.major = 2;
  head.minor = 0;
  head.contentLength = -1;
  head.chunked = false;
  head.upgrade = '';
  for (let i = 2; i < raw.length; i += 2) {
    const name = raw[i] as string;
    const value = raw[i + 1] as string;
    switch (name.length) {
      case 7:
        if (name === 'upgrade') return false;
        break;
      case 10:
        if (name === 'connection' || name === 'keep-alive') return false;
        break;
      case 14:
        if (name === 'content-length') {
          if (head.contentLength >= 0 || !DIGITS.test(value)) return false;
          head.contentLength = Number(value);
          continue;
        }
        break;
      case 16:
        if (name === 'proxy-connection') return false;
        break;
      case 17:
        if (name === 'transfer-encoding') return false;
        break;
    }
    if (name.charCodeAt(0) === COLON) return false;
    fields.push(name, value);
  }
  head.fields = fields;
  return true;
}

const COLON = 58;

/** Trailers have no pseudo-fields (RFC 9113 section 8.1). */
export function hasPseudoField(raw: readonly string[]): boolean {
  return raw.some((name, i) => i % 2 === 0 && name.charCodeAt(0) === COLON);
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
