/**
 * Header names as interned lower-case strings: one string object a name in the whole worker, so that a comparison is a pointer
 * comparison, and a small number for the names the engine acts on, so that the parser can switch on them.
 */
import { TOKEN_LOWER } from './characters.ts';

export const OTHER = 0;
export const HOST = 1;
export const CONTENT_LENGTH = 2;
export const TRANSFER_ENCODING = 3;
export const CONNECTION = 4;
export const EXPECT = 5;
export const UPGRADE = 6;
/** Hop-by-hop whatever Connection says (RFC 9110 section 7.6.1). Trailer is not: it travels with the trailers. */
export const HOP = 7;

const KNOWN: readonly (readonly [string, number])[] = [
  ['host', HOST],
  ['content-length', CONTENT_LENGTH],
  ['transfer-encoding', TRANSFER_ENCODING],
  ['connection', CONNECTION],
  ['expect', EXPECT],
  ['upgrade', UPGRADE],
  ['keep-alive', HOP],
  ['proxy-connection', HOP],
  ['te', HOP],
];
const COMMON =
  'accept accept-encoding accept-language accept-ranges access-control-allow-origin access-control-request-headers access-control-request-method age allow authorization cache-control content-disposition content-encoding content-language content-location content-range content-security-policy content-type cookie date dnt etag expires forwarded from if-match if-modified-since if-none-match if-range if-unmodified-since last-modified link location origin pragma priority proxy-authenticate proxy-authorization range referer referrer-policy retry-after sec-ch-ua sec-ch-ua-mobile sec-ch-ua-platform sec-fetch-dest sec-fetch-mode sec-fetch-site sec-fetch-user sec-websocket-accept sec-websocket-extensions sec-websocket-key sec-websocket-protocol sec-websocket-version server set-cookie strict-transport-security traceparent tracestate trailer upgrade-insecure-requests user-agent vary via warning www-authenticate x-api-key x-content-type-options x-forwarded-for x-forwarded-host x-forwarded-port x-forwarded-proto x-frame-options x-powered-by x-real-ip x-request-id';

const SLOTS = 2048;
const PROBES = 4;
/** Learnt at run time beside the known ones; bounded, as clients choose the names. */
const MAX_LEARNT = 512;
const MAX_LENGTH = 64;
const names: string[] = new Array<string>(SLOTS).fill('');
/** The same names as bytes, MAX_LENGTH a slot, and their lengths: compared without touching a string. */
const bytesOf = new Uint8Array(SLOTS * MAX_LENGTH);
const lengths = new Uint8Array(SLOTS);
const kinds = new Uint8Array(SLOTS);
let learnt = 0;

function set(slot: number, name: string): void {
  names[slot] = name;
  lengths[slot] = name.length;
  for (let i = 0; i < name.length; i++) bytesOf[slot * MAX_LENGTH + i] = name.charCodeAt(i);
}

function place(name: string, kind: number): number {
  let hash = 0;
  for (let i = 0; i < name.length; i++) hash = (Math.imul(hash, 31) + name.charCodeAt(i)) | 0;
  for (let probe = 0; probe < PROBES; probe++) {
    const slot = (hash + probe) & (SLOTS - 1);
    if (names[slot] === '') {
      set(slot, name);
      kinds[slot] = kind;
      return slot;
    }
  }
  return -1;
}

for (const [name, kind] of KNOWN) if (place(name, kind) < 0) throw new Error(`no slot for ${name}`);
for (const name of COMMON.split(' ')) place(name, OTHER);

/**
 * The slot of the name in `bytes` from `start` to `end` (token characters, any case), or -1 where it is unknown and can't be learnt.
 * `hash` is h = h * 31 + lower-case byte over the name, in 32 bits: the caller has it from its own pass over the bytes.
 */
export function findName(bytes: Uint8Array, start: number, end: number, hash: number): number {
  const length = end - start;
  for (let probe = 0; probe < PROBES; probe++) {
    const slot = (hash + probe) & (SLOTS - 1);
    const known = lengths[slot] as number;
    if (known === length) {
      const base = slot * MAX_LENGTH;
      let i = 0;
      while (i < length && bytesOf[base + i] === TOKEN_LOWER[bytes[start + i] as number]) i++;
      if (i === length) return slot;
    } else if (known === 0) {
      if (learnt >= MAX_LEARNT || length > MAX_LENGTH) return -1;
      learnt++;
      set(slot, Buffer.from(bytes.subarray(start, end)).toString('latin1').toLowerCase());
      return slot;
    }
  }
  return -1;
}

export function nameAt(slot: number): string {
  return names[slot] as string;
}

export function kindAt(slot: number): number {
  return kinds[slot] as number;
}
