/** A request's field list against RFC 9113 section 8: what is malformed, and the parts an exchange is made of. */
import { hostOf } from '../codec/authority.ts';
import { normalisePath } from '../codec/path.ts';
import {
  BAD_EXPECT,
  BAD_HOST,
  BAD_PATH,
  BAD_TARGET,
  UNSUPPORTED_METHOD,
  UNSUPPORTED_PROTOCOL,
  URI_TOO_LONG,
} from '../codec/refusals.ts';
import { LENGTH_UNKNOWN } from '../pipeline/exchange.ts';
import type { ListenerLimits } from './options.ts';

/** One for the whole worker: it is read before the next one is parsed. */
export class H2Request {
  /** GET for a WebSocket (RFC 8441 section 5). */
  method = '';
  path = '';
  query: string | undefined = undefined;
  host = '';
  authority = '';
  /** name, value, … without pseudo-fields; the crumbs of a cookie are one field. */
  fields: string[] = [];
  contentLength = LENGTH_UNKNOWN;
  expectContinue = false;
  /** RFC 8441: the stream becomes a WebSocket. */
  websocket = false;
  /** A refusal (codec/refusals.ts); 0: none. */
  refusal = 0;
}

/** Visible ASCII without a fragment and, in the path, without a backslash: as in HTTP/1.1. */
const TARGET = /^[!"$->@-[\]-~]*(?:\?[!"$-~]*)?$/;
const METHOD = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const DIGITS = /^[0-9]{1,15}$/;

/** Reads `list` (name, value, …, pseudo-fields included) into `request`. False: malformed (section 8.1.1). */
export function readRequest(list: readonly string[], limits: ListenerLimits, request: H2Request): boolean {
  const fields: string[] = [];
  let method: string | null = null;
  let target: string | null = null;
  let scheme: string | null = null;
  let authority: string | null = null;
  let protocol: string | null = null;
  let hostField: string | null = null;
  let hosts = 0;
  let cookie = -1;
  let expect: string | null = null;
  request.contentLength = LENGTH_UNKNOWN;
  for (let i = 0; i < list.length; i += 2) {
    const name = list[i] as string;
    const value = list[i + 1] as string;
    if (name.charCodeAt(0) === 58) {
      // All of them before the others, and each but once (section 8.3).
      if (fields.length > 0) return false;
      if (name === ':method' && method === null) method = value;
      else if (name === ':path' && target === null) target = value;
      else if (name === ':scheme' && scheme === null) scheme = value;
      else if (name === ':authority' && authority === null) authority = value;
      else if (name === ':protocol' && protocol === null) protocol = value;
      else return false;
      continue;
    }
    switch (name.length) {
      case 2:
        if (name === 'te' && value !== 'trailers') return false;
        break;
      case 4:
        if (name === 'host') {
          hostField = value;
          hosts++;
        }
        break;
      case 6:
        if (name === 'cookie') {
          // Crumbs become one field again (section 8.2.3).
          if (cookie >= 0) {
            fields[cookie] = `${fields[cookie]}; ${value}`;
            continue;
          }
          cookie = fields.length + 1;
        } else if (name === 'expect') expect = value;
        break;
      case 14:
        if (name === 'content-length') {
          if (request.contentLength !== LENGTH_UNKNOWN || !DIGITS.test(value)) return false;
          request.contentLength = Number(value);
        }
        break;
      default:
        if (isConnectionField(name)) return false;
    }
    fields.push(name, value);
  }
  request.fields = fields;
  request.refusal = 0;
  request.websocket = false;
  if (method === null || !METHOD.test(method)) return false;
  request.method = method;
  if (method === 'CONNECT' && protocol === null) {
    if (scheme !== null || target !== null || authority === null) return false;
    request.refusal = UNSUPPORTED_METHOD;
    return true;
  }
  if (scheme === null || target === null || target === '') return false;
  if (protocol !== null) {
    if (method !== 'CONNECT' || authority === null || request.contentLength >= 0) return false;
    request.method = 'GET';
    request.websocket = true;
  }
  request.expectContinue = expect !== null;
  readTarget(request, target, authority ?? hostField ?? '', limits);
  if (protocol !== null && protocol !== 'websocket') request.refusal = UNSUPPORTED_PROTOCOL;
  else if (request.refusal === 0) {
    if (hosts > 1 || (authority !== null && hostField !== null && hostField !== authority)) request.refusal = BAD_HOST;
    else if (expect !== null && expect.toLowerCase() !== '100-continue') request.refusal = BAD_EXPECT;
  }
  return true;
}

function readTarget(request: H2Request, target: string, authority: string, limits: ListenerLimits): void {
  const mark = target.indexOf('?');
  const rawPath = mark < 0 ? target : target.slice(0, mark);
  const host = hostOf(authority);
  let path: string | null = rawPath;
  if (!(rawPath === '*' && request.method === 'OPTIONS')) path = normalisePath(rawPath, limits.head.mergeSlashes);
  request.query = mark < 0 ? undefined : target.slice(mark + 1);
  request.authority = authority;
  request.host = host ?? '';
  request.path = path ?? '';
  if (target.length + request.method.length + 13 > limits.head.requestLineBytes) request.refusal = URI_TOO_LONG;
  else if (host === null) request.refusal = BAD_HOST;
  else if (path === null) request.refusal = BAD_PATH;
  else if (!TARGET.test(target)) request.refusal = BAD_TARGET;
}

/** Of an HTTP/1.1 connection (section 8.2.2). */
function isConnectionField(name: string): boolean {
  switch (name.length) {
    case 7:
      return name === 'upgrade';
    case 10:
      return name === 'connection' || name === 'keep-alive';
    case 16:
      return name === 'proxy-connection';
    case 17:
      return name === 'transfer-encoding';
    default:
      return false;
  }
}
