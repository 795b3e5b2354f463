/** Reads the credential of Basic: base64 of user, colon, password (RFC 7617 section 2), in UTF-8. */

export interface UserPass {
  readonly user: string;
  readonly password: string;
}

/** UTF-16 units; what is longer is nobody's, and hashing it would be work for nothing. */
const MAX_USER = 253;
const MAX_PASSWORD = 1024;

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Null where it is malformed: other characters than base64's, no UTF-8, no colon, no user, control characters. Both parts come in NFC
 * (RFC 7617 section 2.1 leads there by RFC 8265), so that it does not matter how a keyboard makes an umlaut.
 */
export function readUserPass(credential: string): UserPass | null {
  // Padded or not: token68 (RFC 9110 section 11.2) leaves it open, and clients do both.
  if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}(?:==)?|[A-Za-z0-9+/]{3}=?)?$/.test(credential)) return null;
  let text: string;
  try {
    text = utf8.decode(Buffer.from(credential, 'base64'));
  } catch {
    return null;
  }
  const colon = text.indexOf(':');
  if (colon < 1 || /[\x00-\x1f\x7f]/.test(text)) return null;
  const user = text.slice(0, colon).normalize('NFC');
  const password = text.slice(colon + 1).normalize('NFC');
  if (user.length > MAX_USER || password.length > MAX_PASSWORD) return null;
  return { user, password };
}
