/** Character classes of RFC 9110 section 5.6.2 and RFC 9112, as tables indexed by byte. */

export const CR = 13;
export const LF = 10;
export const SP = 32;
export const HTAB = 9;
export const COLON = 58;

const TOKEN = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/** A token character's lower-case form; 0 where the byte may not stand in a token. */
export const TOKEN_LOWER = new Uint8Array(256);
/** 1 where the byte may stand in a field value: HTAB, SP, VCHAR, obs-text. */
export const VALUE = new Uint8Array(256);

export const PATH_PLAIN = 0;
export const PATH_SLASH = 1;
export const PATH_DOT = 2;
export const PATH_PERCENT = 3;
export const PATH_QUERY = 4;
export const PATH_END = 5;
export const PATH_BAD = 6;
/** What a byte means within the path of a request target; see the constants above. */
export const PATH = new Uint8Array(256).fill(PATH_BAD);
/** 1 where the byte may stand in a query: VCHAR but `#`. Wider than RFC 3986, as browsers send `|`, `"`, `{` unescaped. */
export const QUERY = new Uint8Array(256);

for (const character of TOKEN) TOKEN_LOWER[character.charCodeAt(0)] = character.toLowerCase().charCodeAt(0);
for (let byte = 0x20; byte < 256; byte++) VALUE[byte] = byte === 0x7f ? 0 : 1;
VALUE[HTAB] = 1;
for (let byte = 0x21; byte < 0x7f; byte++) {
  PATH[byte] = PATH_PLAIN;
  QUERY[byte] = 1;
}
PATH['/'.charCodeAt(0)] = PATH_SLASH;
PATH['.'.charCodeAt(0)] = PATH_DOT;
PATH['%'.charCodeAt(0)] = PATH_PERCENT;
PATH['?'.charCodeAt(0)] = PATH_QUERY;
PATH['#'.charCodeAt(0)] = PATH_BAD;
PATH['\\'.charCodeAt(0)] = PATH_BAD;
PATH[SP] = PATH_END;
QUERY['#'.charCodeAt(0)] = 0;
